package core

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/gracex-go/gracex/core/internal/conns"
)

// Remaining counts the unfinished work at a drain's deadline.
type Remaining struct {
	Requests    int // requests that are read or answered
	Connections int // open connections, without the hijacked ones
	Hijacked    int // connections that handlers took over (WebSocket)
	Sockets     int // datagram sockets that the program has not closed
	Background  int // functions of WhileCurrent that have not returned
}

// none reports whether nothing is left that a deadline would cut.
func (r Remaining) none() bool { return r == Remaining{} }

// String returns the counts in words.
func (r Remaining) String() string {
	s := fmt.Sprintf("%s on %s, %s", count(r.Requests, "request"), count(r.Connections, "connection"), count(r.Hijacked, "hijacked connection"))
	if r.Sockets > 0 {
		s += ", " + count(r.Sockets, "datagram socket")
	}
	if r.Background > 0 {
		s += ", " + count(r.Background, "background function")
	}
	return s
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Ledger is the account of one generation's connections and requests. It is a snapshot. The
// counts of a running generation change.
type Ledger struct {
	Generation int
	PID        int
	State      State

	Accepted       uint64      // connections accepted
	Served         uint64      // requests whose handler returned
	Adopted        uint64      // connections taken over from the generation before
	Moved          uint64      // connections handed to the next generation
	Refused        uint64      // connections that the next generation did not take
	ClosedPolitely uint64      // connections closed after a last response that said so
	ClosedIdle     uint64      // connections closed idle, at the end of a drain
	MovedHTTP2     uint64      // HTTP/2 connections among those that moved
	StayedHTTP2    StayedHTTP2 // HTTP/2 connections that were to move and did not
	MovedTLS       uint64      // TLS connections among those that moved
	StayedTLS      StayedTLS   // TLS connections that were to move and did not
	HijackedHTTP2  uint64      // HTTP/2 connections that handlers took over (h2c.NewHandler)

	Cut  Remaining // cut at a drain's deadline; Cut.Requests were lost
	Open Remaining // open now
}

// StayedHTTP2 counts the HTTP/2 connections that were to move to the next generation and did not, by the
// reason. Their clients were asked to leave. The log has each reason in words, at level Debug.
type StayedHTTP2 struct {
	Streams uint64 // they had a stream open all the time
	Refused uint64 // the next generation did not take them: its settings are smaller, or it has no room
	Other   uint64 // anything else, such as a server that has pushed
}

func (s StayedHTTP2) total() uint64 { return s.Streams + s.Refused + s.Other }

// StayedTLS counts the TLS connections that were to move to the next generation and did not, by the reason: see
// WithTLSHandoff. Their clients were asked to reconnect.
type StayedTLS struct {
	Version uint64 // TLS 1.2 or older
	Suite   uint64 // a cipher suite other than AES-GCM
	Key     uint64 // the client had changed its key, before the connection moved for the first time
	Other   uint64 // anything else, such as FIPS 140-3 mode
}

func (s StayedTLS) total() uint64 { return s.Version + s.Suite + s.Key + s.Other }

// LogValue returns the counts as one group of log attributes.
func (l Ledger) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Uint64("accepted", l.Accepted),
		slog.Uint64("served", l.Served),
		slog.Uint64("adopted", l.Adopted),
		slog.Uint64("moved", l.Moved),
		slog.Uint64("refused", l.Refused),
		slog.Uint64("closed_politely", l.ClosedPolitely),
		slog.Uint64("closed_idle", l.ClosedIdle),
		slog.Uint64("moved_http2", l.MovedHTTP2),
		slog.Uint64("stayed_http2_streams", l.StayedHTTP2.Streams),
		slog.Uint64("stayed_http2_refused", l.StayedHTTP2.Refused),
		slog.Uint64("stayed_http2_other", l.StayedHTTP2.Other),
		slog.Uint64("moved_tls", l.MovedTLS),
		slog.Uint64("stayed_tls_version", l.StayedTLS.Version),
		slog.Uint64("stayed_tls_suite", l.StayedTLS.Suite),
		slog.Uint64("stayed_tls_key", l.StayedTLS.Key),
		slog.Uint64("stayed_tls_other", l.StayedTLS.Other),
		slog.Uint64("hijacked_http2", l.HijackedHTTP2),
		slog.Int("cut_requests", l.Cut.Requests),
		slog.Int("cut_connections", l.Cut.Connections),
		slog.Int("cut_hijacked", l.Cut.Hijacked),
		slog.Int("cut_sockets", l.Cut.Sockets),
		slog.Int("cut_background", l.Cut.Background),
	)
}

// ledgerJSON is a Ledger with the names that the log has.
type ledgerJSON struct {
	Generation      int    `json:"generation"`
	PID             int    `json:"pid"`
	State           State  `json:"state"`
	Accepted        uint64 `json:"accepted"`
	Served          uint64 `json:"served"`
	Adopted         uint64 `json:"adopted"`
	Moved           uint64 `json:"moved"`
	Refused         uint64 `json:"refused"`
	ClosedPolitely  uint64 `json:"closed_politely"`
	ClosedIdle      uint64 `json:"closed_idle"`
	MovedHTTP2      uint64 `json:"moved_http2"`
	StayedStreams   uint64 `json:"stayed_http2_streams"`
	StayedRefused   uint64 `json:"stayed_http2_refused"`
	StayedOther     uint64 `json:"stayed_http2_other"`
	MovedTLS        uint64 `json:"moved_tls"`
	StayedVersion   uint64 `json:"stayed_tls_version"`
	StayedSuite     uint64 `json:"stayed_tls_suite"`
	StayedKey       uint64 `json:"stayed_tls_key"`
	StayedTLSOther  uint64 `json:"stayed_tls_other"`
	HijackedHTTP2   uint64 `json:"hijacked_http2"`
	CutRequests     int    `json:"cut_requests"`
	CutConnections  int    `json:"cut_connections"`
	CutHijacked     int    `json:"cut_hijacked"`
	CutSockets      int    `json:"cut_sockets"`
	CutBackground   int    `json:"cut_background"`
	OpenRequests    int    `json:"open_requests"`
	OpenConnections int    `json:"open_connections"`
	OpenHijacked    int    `json:"open_hijacked"`
	OpenSockets     int    `json:"open_sockets"`
	OpenBackground  int    `json:"open_background"`
}

// MarshalJSON writes the counts as one object, with the names that the log has.
func (l Ledger) MarshalJSON() ([]byte, error) {
	return json.Marshal(ledgerJSON{
		l.Generation, l.PID, l.State,
		l.Accepted, l.Served, l.Adopted, l.Moved, l.Refused, l.ClosedPolitely, l.ClosedIdle, l.MovedHTTP2,
		l.StayedHTTP2.Streams, l.StayedHTTP2.Refused, l.StayedHTTP2.Other,
		l.MovedTLS, l.StayedTLS.Version, l.StayedTLS.Suite, l.StayedTLS.Key, l.StayedTLS.Other, l.HijackedHTTP2,
		l.Cut.Requests, l.Cut.Connections, l.Cut.Hijacked, l.Cut.Sockets, l.Cut.Background,
		l.Open.Requests, l.Open.Connections, l.Open.Hijacked, l.Open.Sockets, l.Open.Background,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *Ledger) UnmarshalJSON(b []byte) error {
	var j ledgerJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*l = Ledger{
		j.Generation, j.PID, j.State,
		j.Accepted, j.Served, j.Adopted, j.Moved, j.Refused, j.ClosedPolitely, j.ClosedIdle, j.MovedHTTP2,
		StayedHTTP2{j.StayedStreams, j.StayedRefused, j.StayedOther},
		j.MovedTLS, StayedTLS{j.StayedVersion, j.StayedSuite, j.StayedKey, j.StayedTLSOther}, j.HijackedHTTP2,
		Remaining{j.CutRequests, j.CutConnections, j.CutHijacked, j.CutSockets, j.CutBackground},
		Remaining{j.OpenRequests, j.OpenConnections, j.OpenHijacked, j.OpenSockets, j.OpenBackground},
	}
	return nil
}

// ledger is the account so far.
func (u *Upgrader) ledger() Ledger {
	c, served := u.conns.Account()
	cut := remainingOf(c.Cut)
	cut.Background = int(u.background.cut.Load())
	return Ledger{
		Generation: u.generation, PID: os.Getpid(), State: u.State(),
		Accepted: c.Accepted, Served: served, Adopted: c.Adopted, Moved: c.Moved.Total(), Refused: c.Refused,
		ClosedPolitely: c.ClosedPolitely, ClosedIdle: c.ClosedIdle,
		MovedHTTP2: c.Moved.OverHTTP2(), StayedHTTP2: StayedHTTP2(c.StayedHTTP2),
		MovedTLS: c.Moved.OverTLS(), StayedTLS: StayedTLS(c.StayedTLS), HijackedHTTP2: c.HijackedHTTP2,
		Cut: cut, Open: u.remaining(),
	}
}

// remaining is what a drain waits for.
func (u *Upgrader) remaining() Remaining {
	left := remainingOf(u.conns.Left())
	left.Background = int(u.background.running.Load())
	return left
}

func remainingOf(l conns.Left) Remaining {
	return Remaining{Requests: l.Requests, Connections: l.Connections, Hijacked: l.Hijacked, Sockets: l.Sockets}
}

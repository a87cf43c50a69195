//go:build unix

package core

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// playSecure is playCurrent for a server whose TLS connections move, with its certificate.
func playSecure(t *testing.T) (u *Upgrader, o *playedOld, addr string, cert tls.Certificate) {
	t.Helper()
	certFile, keyFile, _ := rawhttp.Certificate(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	u, o = playOld(t, WithTLSHandoff(true))
	ln := u.ListenTest(t)
	must(t, u.AttachTLS(notFound(), ln, certFile, keyFile))
	o.handsOver(u, wire.CommitMsg{DrainMillis: 1000})
	o.hears(wire.Confirmed)
	return u, o, ln.Addr().String(), cert
}

// sealedTLS makes a TLS connection as the old process has it, sealed, of which a part of a request has come, or not, and what
// offers it. The descriptor is the caller's.
func sealedTLS(t *testing.T, u *Upgrader, addr string, cert tls.Certificate, holds bool) (
	client *tls.Conn, first *tls13.First, sealed *tls13.Sealed, offer []byte, s int,
) {
	t.Helper()
	c, server := pairAt(t, u, addr)
	first = tls13.Server(server, tls13.Config(&tls.Config{Certificates: []tls.Certificate{cert}}))
	t.Cleanup(func() { _ = first.Close() })
	shaken := make(chan error, 1)
	go func() { shaken <- first.HandshakeContext(context.Background()) }()
	client = tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	must(t, client.Handshake())
	must(t, <-shaken)
	if holds {
		_, err := io.WriteString(client, "xGET /")
		must(t, err)
		_, err = first.Read(make([]byte, 1))
		must(t, err)
	}
	sealed, err := first.Seal()
	must(t, err)
	secret := sealed.State()
	offer, err = wire.AppendOffer(nil, wire.OfferMsg{Conns: []wire.Conn{{Listener: atListener, TLS: len(secret)}}}, [][]byte{secret})
	must(t, err)
	return client, first, sealed, offer, dupOf(t, server)
}

// TestReceive_SaysNothingOnWhatItHasNot: a TLS connection that is refused, or that the old process does not hear of, goes on
// there, and nothing is encrypted with its key here: no close_notify.
func TestReceive_SaysNothingOnWhatItHasNot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		with  error // with which the answer can't be written; nil: it can
		lives bool  // the old process
		ends  bool  // the drain of this process has ended
	}{
		"not written":             {with: os.ErrDeadlineExceeded},
		"it has hung up itself":   {with: net.ErrClosed},
		"the old one has hung up": {with: syscall.EPIPE, lives: true},
		"refused":                 {ends: true},
	} {
		for _, holds := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				u, _, addr, cert := playSecure(t)
				client, first, sealed, offer, s := sealedTLS(t, u, addr, cert, holds)
				ours, theirs := controlPair(t)
				nc := &failing{Conn: theirs, with: tt.with}
				if tt.with != nil {
					nc.word.Store(uint32(wire.Taken))
				}
				if tt.ends {
					u.conns.Close(nil)
				}
				p := peer.NewOld(nc)
				if tt.lives {
					old := exec.Command("sleep", "300")
					must(t, old.Start())
					defer func() { _ = old.Process.Kill(); _ = old.Wait() }()
					must(t, wire.Write(ours, wire.Welcome, wire.WelcomeMsg{PID: old.Process.Pid}))
					_, err := p.Welcome()
					must(t, err)
				}
				must(t, u.receive(p, wire.Frame{Type: wire.Offer, Payload: offer[8:]}, []int{s}))
				expectEqual(t, "adopted", p.Adopted, 0)
				proctest.Await(t, "it is closed here", func() bool { return u.remaining().Connections == 0 })
				if o := (&playedOld{player{t, ours}}); tt.with != nil {
					o.hearsTheEnd(wire.Taken)
				} else {
					var taken wire.TakenMsg
					must(t, o.awaits(wire.Taken).Decode(&taken))
					expectEqual(t, "refused", len(taken.Refused), 1)
				}
				sealed.Refused()
				_, err := io.WriteString(first, "from here")
				must(t, err)
				got := make([]byte, len("from here"))
				_, err = io.ReadFull(client, got)
				must(t, err)
				expectEqual(t, "the client hears", string(got), "from here")
			})
		}
	}
}

// TestReceive_GivesOnHandoffWhatHasCome of the client's words already, when a handler has handed its TLS connection off.
func TestReceive_GivesOnHandoffWhatHasCome(t *testing.T) {
	t.Parallel()
	u, _, addr, cert := playSecure(t)
	client, _, sealed, _, s := sealedTLS(t, u, addr, cert, true)
	secret := sealed.State()
	name := t.Name()
	offer, err := wire.AppendOffer(nil, wire.OfferMsg{Conns: []wire.Conn{{Name: name, TLS: len(secret)}}}, [][]byte{secret})
	must(t, err)
	sealed.Gone()
	OnHandoff(name, func(c net.Conn, _ []byte) {
		defer c.Close()
		got := make([]byte, len("GET /")) // as sealedTLS has left it
		if _, err := io.ReadFull(c, got); err != nil {
			t.Error(err)
		}
		_, _ = c.Write(got)
	})
	defer OnHandoff(name, nil)
	_, theirs := controlPair(t)
	must(t, u.receive(peer.NewOld(theirs), wire.Frame{Type: wire.Offer, Payload: offer[8:]}, []int{s}))
	got, err := io.ReadAll(client)
	must(t, err)
	expectEqual(t, "the client hears", string(got), "GET /")
}

// TestReceive_ClosesATLSConnectionInSilenceBeforeTheAnswer: the deadline of this process's own drain comes while the old
// process waits for the answer.
func TestReceive_ClosesATLSConnectionInSilenceBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	u, _, addr, cert := playSecure(t)
	client, first, sealed, offer, s := sealedTLS(t, u, addr, cert, true)
	msg, secrets, err := wire.Frame{Type: wire.Offer, Payload: offer[8:]}.DecodeOffer()
	must(t, err)
	starts, refused := u.adoptConns(msg.Conns, secrets, []int{s})
	expectEqual(t, "refused", len(refused), 0)
	u.conns.CutAll(true, nil)
	starts[0](false)
	sealed.Refused()
	_, err = io.WriteString(first, "from here")
	must(t, err)
	_, err = io.ReadFull(client, make([]byte, len("from here")))
	must(t, err)
}

// TestTakeOlder_RefusesATLSConnection as any other, so that it is offered again, and clears its secrets.
func TestTakeOlder_RefusesATLSConnection(t *testing.T) {
	t.Parallel()
	u, _, addr, cert := playSecure(t)
	_, _, sealed, offer, s := sealedTLS(t, u, addr, cert, false)
	defer sealed.Refused()
	ours, theirs := controlPair(t)
	h := &heldOffer{u: u, p: peer.NewOld(theirs)}
	must(t, h.hold(wire.Frame{Type: wire.Offer, Payload: offer[8:]}, []int{s}))
	h.refuse(true)
	var taken wire.TakenMsg
	must(t, (&player{t, ours}).awaits(wire.Taken).Decode(&taken))
	expectEqual(t, "refused", len(taken.Refused), 1)
	expectEqual(t, "it is to be offered again", taken.Again, true)
	for _, b := range offer[8:] {
		if b != 0 {
			t.Fatal("the secrets are kept")
		}
	}
}

// TestShakeHands_OutlivesAPanic of what crypto/tls calls for the program, as net/http does.
func TestShakeHands_OutlivesAPanic(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := rawhttp.Certificate(t)
	u := NewTest(t, WithTLSHandoff(true))
	said := new(saidLog)
	srv := notFound()
	srv.ErrorLog = log.New(said, "", 0)
	srv.TLSConfig = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("no config") }}
	ln := u.ListenTest(t)
	must(t, u.AttachTLS(srv, ln, certFile, keyFile))
	must(t, u.Ready())
	if _, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("the handshake has succeeded")
	}
	proctest.Await(t, "it is logged", func() bool { return strings.Contains(said.String(), "http: panic serving ") })
	expectEqual(t, "connections", u.remaining().Connections, 0)
}

// saidLog is what was logged.
type saidLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *saidLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *saidLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

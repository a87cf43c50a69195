package control

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Totals counts for a whole service: over all its processes, from the start of the first one. An upgrade does not reset
// it, nor does a crash that a supervisor answers. A service that is started anew counts from zero.
//
// Every number in Counts only grows, with one exception that Missing tells of.
type Totals struct {
	Since time.Time `json:"since,omitzero"` // when the first process began

	// Total is the sum of all that follows.
	Total Counts `json:"total"`
	// Ended is the sum of the processes that have ended, as far as it is known.
	Ended Counts `json:"ended"`
	// Processes are those that run, newest first: the one that answers among them. What the others have counted is as old
	// as their Told.
	Processes []Account `json:"processes"`

	LastSuccess time.Time `json:"last_success,omitzero"` // of an upgrade; zero: there was none
	LastFailure time.Time `json:"last_failure,omitzero"` // of an upgrade that was not good; zero: there was none

	// Missing are processes that have ended without a last word, because they were killed: the newest, of which there
	// are at most 16. What they have counted after their Told is in no sum, and nobody knows it.
	Missing []Missing `json:"missing,omitempty"`
	// MissingCount is how many there were.
	MissingCount uint64 `json:"missing_count,omitempty"`
}

// Account is what one process has counted.
type Account struct {
	PID        int       `json:"pid"`
	Generation int       `json:"generation"`
	Version    string    `json:"version,omitempty"`
	State      string    `json:"state"`             // the name of a core.State
	Started    time.Time `json:"started,omitzero"`  // when the process began
	Told       time.Time `json:"told,omitzero"`     // when it has counted this last
	Number     uint64    `json:"number"`            // of this account, counted from 1: a later one replaces an earlier one
	Ended      bool      `json:"ended,omitempty"`   // this is its last word; between processes
	Missing    bool      `json:"missing,omitempty"` // it has ended without one; between processes
	Open       Open      `json:"open"`
	Counts     Counts    `json:"counts"`
}

// Open is what a process has to do at a moment.
type Open struct {
	Requests    int `json:"requests"`    // that are read or answered
	Connections int `json:"connections"` // open ones, without the hijacked ones
	Hijacked    int `json:"hijacked"`    // connections that handlers took over (WebSocket)
}

// Missing is a process that has ended without a last word.
type Missing struct {
	PID        int       `json:"pid"`
	Generation int       `json:"generation"`
	Version    string    `json:"version,omitempty"`
	Told       time.Time `json:"told,omitzero"` // when it was heard of last; zero: it has told nothing
}

// Counts are numbers that only grow.
type Counts struct {
	// Servers are the program's servers, by their names.
	Servers []ServerCounts `json:"servers,omitempty"`

	Refused        uint64 `json:"refused,omitempty"`         // connections that the next process did not take
	ClosedPolitely uint64 `json:"closed_politely,omitempty"` // connections closed after a last answer that said so
	ClosedIdle     uint64 `json:"closed_idle,omitempty"`     // connections closed idle, at the end of a drain

	// Moved are connections that went to another process, each as often as it went.
	Moved []MovedCounts `json:"moved,omitempty"`
	// StateBytes is how much state went with them, in bytes: that of HTTP/2, TLS and the program's own.
	StateBytes uint64 `json:"state_bytes,omitempty"`
	// Stayed are connections that were to move and did not.
	Stayed []StayedCounts `json:"stayed,omitempty"`

	// What was cut at the deadline of a drain.
	CutRequests    uint64 `json:"cut_requests,omitempty"`
	CutConnections uint64 `json:"cut_connections,omitempty"`
	CutHijacked    uint64 `json:"cut_hijacked,omitempty"`
	CutSockets     uint64 `json:"cut_sockets,omitempty"`    // datagram sockets
	CutBackground  uint64 `json:"cut_background,omitempty"` // functions of core.WhileCurrent

	// Upgrades are the upgrades that the processes have begun, by what has become of them.
	Upgrades []UpgradeCounts `json:"upgrades,omitempty"`
	// UpgradeSeconds is how long they took, from the request to the outcome, without those that were refused.
	UpgradeSeconds Histogram `json:"upgrade_seconds,omitzero"`
	// DrainSeconds is how long the drains took.
	DrainSeconds Histogram `json:"drain_seconds,omitzero"`

	// RequestSeconds is how long requests took, those that were measured: see Client.Totals.
	RequestSeconds Histogram `json:"request_seconds,omitzero"`
	// RequestErrors are those of them that were answered with a status of 500 or more, as far as that is seen, or panicked.
	// It is not seen of a request with a body over HTTP/1.
	RequestErrors uint64 `json:"request_errors,omitempty"`
}

// ServerCounts are the counts of a server, or of several with one name.
type ServerCounts struct {
	// Server is the name that core.Named or core.WithServerName gives, or else the address that the listener is bound
	// to. It is "other" for connections of which that is not known.
	Server   string `json:"server"`
	Requests uint64 `json:"requests"` // whose handler has returned
	Accepted uint64 `json:"accepted"` // connections, without those that another process has accepted
}

// The protocols of connections that move, or stay.
const (
	ProtocolHTTP1     = "http1"
	ProtocolHTTP2     = "http2"
	ProtocolWebSocket = "websocket" // of the package wsmove
	ProtocolTLS       = "tls"       // for what TLS is the reason of
	ProtocolOther     = "other"     // core.Handoff by the program
)

// MovedCounts are connections that have moved.
type MovedCounts struct {
	Protocol    string `json:"protocol"` // ProtocolHTTP1 or another one of these
	TLS         bool   `json:"tls"`
	Connections uint64 `json:"connections"`
}

// StayedCounts are connections that were to move and did not.
type StayedCounts struct {
	Protocol    string `json:"protocol"` // ProtocolHTTP2 or ProtocolTLS
	Reason      string `json:"reason"`   // a word of core.StayedHTTP2 or core.StayedTLS, such as "streams" or "version"
	Connections uint64 `json:"connections"`
}

// UpgradeCounts are upgrades with the same outcome.
type UpgradeCounts struct {
	Outcome string `json:"outcome"` // KindUpgraded or another one of these, or OutcomeTakenBack
	Reason  string `json:"reason"`  // the class of the reason, one of the Reasons; empty for KindUpgraded
	Count   uint64 `json:"count"`
}

// OutcomeTakenBack is an upgrade that was good, and counted as such, until its new process ended while the old one
// drained: that serves again.
const OutcomeTakenBack = "taken_back"

// The classes of reasons why an upgrade was not good. Outcome.Reason says it in words.
const (
	ReasonVetoed     = "vetoed"      // by an OnPreFork hook
	ReasonInProgress = "in_progress" // another upgrade came first
	ReasonStopped    = "stopped"     // the service stops
	ReasonNotStarted = "not_started" // the program could not be started: it is not there, or no program
	ReasonExited     = "exited"      // the new process has ended by itself
	ReasonSaidFailed = "said_failed" // it has said that it can't serve: a ready check, a port, an error of its main
	ReasonTimeout    = "timeout"     // it was not ready in time, or did not answer on probation
	ReasonRejected   = "rejected"    // it has found itself bad on probation
	ReasonOperator   = "operator"    // an operator has rolled it back
	ReasonCanceled   = "canceled"    // who has asked for it does not want it any more
	ReasonOther      = "other"
)

// Histogram counts durations.
type Histogram struct {
	Count uint64  `json:"count"`
	Sum   float64 `json:"sum"` // in seconds, a multiple of 2^-20
	// Buckets are in the order of their bounds. Durations above the last one are in Count alone.
	Buckets []Bucket `json:"buckets,omitempty"`
}

// Bucket counts what took at most LE seconds and more than the bucket before.
type Bucket struct {
	LE    float64 `json:"le"`
	Count uint64  `json:"count"`
}

// DurationBounds returns the bounds of the buckets of UpgradeSeconds and DrainSeconds, in seconds.
func DurationBounds() []float64 {
	return []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}
}

// IsZero reports whether nothing was counted.
func (h Histogram) IsZero() bool { return h.Count == 0 }

// Observe counts a duration in the buckets with these bounds, in seconds and ascending. It is for a histogram of its own:
// the buckets of a copy are the same.
//
// It rounds to about a microsecond, so that a float64 has room for every bit of a sum. Sums are the same in whichever order
// they are added up then, and never go down by a rounding error.
func (h *Histogram) Observe(d time.Duration, bounds []float64) {
	s := d.Seconds()
	h.Count++
	h.Sum += math.Round(s*sumUnit) / sumUnit
	if i, _ := slices.BinarySearch(bounds, s); i < len(bounds) {
		h.bucket(bounds[i]).Count++
	}
}

// sumUnit is how many units of a Sum are a second.
const sumUnit = 1 << 20

// bucket returns the one with this bound.
func (h *Histogram) bucket(le float64) *Bucket {
	i, ok := slices.BinarySearchFunc(h.Buckets, le, func(b Bucket, le float64) int { return cmp.Compare(b.LE, le) })
	if !ok {
		h.Buckets = slices.Insert(h.Buckets, i, Bucket{LE: le})
	}
	return &h.Buckets[i]
}

// Plus returns the sum of both, in memory of its own.
func (h Histogram) Plus(more Histogram) Histogram {
	h.Buckets = slices.Clone(h.Buckets)
	h.Count += more.Count
	h.Sum += more.Sum
	for _, b := range more.Buckets {
		h.bucket(b.LE).Count += b.Count
	}
	return h
}

// Since returns what was counted after before, which is an earlier state of the same histogram. If it is not, as after a
// rollback or a crash, all counts.
func (h Histogram) Since(before Histogram) Histogram {
	if before.Count > h.Count {
		return h
	}
	d := Histogram{Count: h.Count - before.Count, Sum: h.Sum - before.Sum, Buckets: slices.Clone(h.Buckets)}
	for _, b := range before.Buckets {
		at := d.bucket(b.LE)
		if b.Count > at.Count {
			return h
		}
		at.Count -= b.Count
	}
	return d
}

// Quantile returns the bound in seconds below which the share q of what was counted lies, and 0 if nothing was. What
// lies above all bounds is taken for the last one.
func (h Histogram) Quantile(q float64) float64 {
	if h.Count == 0 {
		return 0
	}
	want, seen, last := q*float64(h.Count), uint64(0), 0.0
	for _, b := range h.Buckets {
		if b.Count == 0 {
			continue
		}
		if next := seen + b.Count; float64(next) >= want {
			return b.LE
		}
		seen, last = seen+b.Count, b.LE
	}
	return last
}

// Requests is how many requests all servers have answered.
func (c Counts) Requests() (n uint64) {
	for _, s := range c.Servers {
		n += s.Requests
	}
	return n
}

// Accepted is how many connections all servers have accepted.
func (c Counts) Accepted() (n uint64) {
	for _, s := range c.Servers {
		n += s.Accepted
	}
	return n
}

// MovedConnections is how many connections have moved, of all kinds.
func (c Counts) MovedConnections() (n uint64) {
	for _, m := range c.Moved {
		n += m.Connections
	}
	return n
}

// UpgradesWith is how many upgrades had the outcome, for any reason.
func (c Counts) UpgradesWith(outcome string) (n uint64) {
	for _, u := range c.Upgrades {
		if u.Outcome == outcome {
			n += u.Count
		}
	}
	return n
}

// maxServers is how many servers are told apart.
const maxServers = 64

// OtherServers is the name of servers whose listener is not known, and of those beyond 64.
const OtherServers = "other"

// plusServers adds up servers by their names. A name that changes with each version must not make the sum longer and
// longer.
func plusServers(list, more []ServerCounts) []ServerCounts {
	list = slices.Clone(list)
	for _, m := range more {
		at := func(name string) int {
			return slices.IndexFunc(list, func(s ServerCounts) bool { return s.Server == name })
		}
		if at(m.Server) < 0 && len(list) >= maxServers {
			m.Server = OtherServers
		}
		if i := at(m.Server); i >= 0 {
			list[i].Requests += m.Requests
			list[i].Accepted += m.Accepted
		} else {
			list = append(list, m)
		}
	}
	return list
}

// Valid reports whether the counts can be added up and told: another process may have told anything.
func (c Counts) Valid() bool {
	for _, h := range []Histogram{c.UpgradeSeconds, c.DrainSeconds, c.RequestSeconds} {
		if !(h.Sum >= 0 && h.Sum < maxSum) { // nor if it is no number
			return false
		}
	}
	return true
}

// maxSum is more seconds than anything takes, and far from where a float64 ends.
const maxSum = 1e15

// Plus returns the sum of both, in memory of its own.
func (c Counts) Plus(more Counts) Counts {
	c.Servers = plusServers(c.Servers, more.Servers)
	c.Moved = plus(c.Moved, more.Moved,
		func(a, b MovedCounts) bool { return a.Protocol == b.Protocol && a.TLS == b.TLS },
		func(a *MovedCounts, b MovedCounts) { a.Connections += b.Connections })
	c.Stayed = plus(c.Stayed, more.Stayed,
		func(a, b StayedCounts) bool { return a.Protocol == b.Protocol && a.Reason == b.Reason },
		func(a *StayedCounts, b StayedCounts) { a.Connections += b.Connections })
	c.Upgrades = plus(c.Upgrades, more.Upgrades,
		func(a, b UpgradeCounts) bool { return a.Outcome == b.Outcome && a.Reason == b.Reason },
		func(a *UpgradeCounts, b UpgradeCounts) { a.Count += b.Count })
	c.Refused += more.Refused
	c.ClosedPolitely += more.ClosedPolitely
	c.ClosedIdle += more.ClosedIdle
	c.StateBytes += more.StateBytes
	c.CutRequests += more.CutRequests
	c.CutConnections += more.CutConnections
	c.CutHijacked += more.CutHijacked
	c.CutSockets += more.CutSockets
	c.CutBackground += more.CutBackground
	c.UpgradeSeconds = c.UpgradeSeconds.Plus(more.UpgradeSeconds)
	c.DrainSeconds = c.DrainSeconds.Plus(more.DrainSeconds)
	c.RequestSeconds = c.RequestSeconds.Plus(more.RequestSeconds)
	c.RequestErrors += more.RequestErrors
	return c
}

// plus adds more to a copy of the list: to what is the same as an entry, and the rest behind it.
func plus[T any](list, more []T, same func(a, b T) bool, add func(a *T, b T)) []T {
	list = slices.Clone(list)
	for _, m := range more {
		if i := slices.IndexFunc(list, func(x T) bool { return same(x, m) }); i >= 0 {
			add(&list[i], m)
		} else {
			list = append(list, m)
		}
	}
	return list
}

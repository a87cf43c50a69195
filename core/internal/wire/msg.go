package wire

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// HelloMsg introduces the new process.
type HelloMsg struct {
	PID   int      `json:"pid"`
	Takes []string `json:"takes,omitempty"` // with Follows: as in ReadyMsg
}

// PassMsg is what a new process is started with, beside the descriptors that come with it.
type PassMsg struct {
	To   int  `json:"to,omitempty"`   // the process that it is for; 0: the child of the one that has made the doorbell
	More bool `json:"more,omitempty"` // another frame with descriptors follows, which says all else

	Files int `json:"files,omitempty"` // how many have come by all frames

	// What EnvHandover or EnvLink says to a process that inherits its descriptors. They count from 3 up here, too, in
	// the order in which they have come.
	Handover string `json:"handover,omitempty"`
	Link     string `json:"link,omitempty"`

	Dir []byte `json:"dir,omitempty"` // the name of the working directory, as it is to be followed in the next start
}

// WelcomeMsg introduces the old process.
type WelcomeMsg struct {
	PID        int        `json:"pid"`
	Generation int        `json:"generation"` // of the new process
	Listeners  []Listener `json:"listeners"`  // in the order of their descriptors, from 3 up
	// Version is the program's, in its own words; for operators.
	Version string `json:"version,omitempty"`
	// Counts: the old process takes Account.
	Counts bool `json:"counts,omitempty"`
	// Check: the new process is ended when it is ready: it tells nobody of what happens.
	Check bool `json:"check,omitempty"`
	// Attempt names the upgrade, and Context is what the old program has said of it: see control.Event.
	Attempt string `json:"attempt,omitempty"`
	Context string `json:"context,omitempty"`
	// Totals is what the last worker that served has told the supervisor, in an AccountMsg.
	Totals json.RawMessage `json:"totals,omitempty"`
	// Working are the processes of workers whose background work runs. Only a supervisor names some, and says
	// Returned when it has returned, or they have ended.
	Working []int `json:"working,omitempty"`
}

// Kind is what a descriptor is. The zero Kind is a listener.
type Kind string

// The kinds of descriptors that are inherited.
const (
	KindListener Kind = ""
	KindPacket   Kind = "packet" // a datagram socket
	KindConn     Kind = "conn"   // a connected stream socket
	KindFile     Kind = "file"   // anything
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case KindListener:
		return "listener"
	case KindPacket:
		return "datagram socket"
	case KindConn:
		return "connection"
	}
	return string(k)
}

// Listener names one inherited listener, or another descriptor.
type Listener struct {
	Network string `json:"network"` // as given to Listen: "tcp", "tcp4", "unix", ...
	Address string `json:"address"` // as given to Listen, such as ":0"

	Kind Kind `json:"kind,omitempty"`

	Foreign bool   `json:"foreign,omitempty"` // a service manager has opened it, and owns its path
	Name    string `json:"name,omitempty"`    // what that calls it, while nobody has claimed it
	// Outside: the program has opened it without gracex, and accepts from it as long as it runs.
	Outside bool `json:"outside,omitempty"`
	// Aside: it belongs to another one, whose address takes its connections too when it is closed.
	Aside bool `json:"aside,omitempty"`
	Runs  int  `json:"runs,omitempty"` // how many calls have started the program's servers; absent: one, or not known
}

// ReadyMsg says what the new process is ready for.
type ReadyMsg struct {
	Room       int   `json:"room"`                // how many established connections it can take; absent: none
	Probation  bool  `json:"probation"`           // it answers Ping; absent: the handover is final at once
	Stderr     bool  `json:"stderr"`              // it keeps the pipe as its stderr until the probation is over
	StopMillis int64 `json:"stop_ms"`             // how long a stop takes it at the most
	Unclaimed  []int `json:"unclaimed,omitempty"` // indices of the listeners in Welcome that it does not use
	// Entrusts: it takes over processes that the old one leaves to it; absent: the old one stays as long as they do.
	Entrusts bool `json:"entrusts,omitempty"`
	// Version is the program's, in its own words; for logs and operators.
	Version string `json:"version,omitempty"`
	// Tickets: it wants the keys of the service's session tickets.
	Tickets bool `json:"tickets,omitempty"`
	// Counts: it takes Account.
	Counts bool `json:"counts,omitempty"`
	// Takes are the kinds of connections that it takes besides plaintext HTTP/1 and those with a Name; absent: none.
	Takes []string `json:"takes,omitempty"`
}

// The kinds of connections that not every version takes.
const (
	TakesHTTP2 = "h2"    // HTTP/2, in the clear, and over TLS together with the other one
	TakesTLS   = "tls13" // over TLS 1.3
)

// Stop is StopMillis as a Duration.
func (m ReadyMsg) Stop() time.Duration { return millis(m.StopMillis) }

// OfferMsg describes the connections whose descriptors come with it.
type OfferMsg struct {
	Conns []Conn `json:"conns"` // in the order of the descriptors
}

// Conn is one established connection: a plaintext HTTP/1 connection between two requests, which has a Listener, one that
// belongs to the program itself, which has a Name, or an HTTP/2 connection in the clear without an open stream, which
// has both.
type Conn struct {
	Listener   *Listener `json:"listener,omitempty"` // that it was accepted from
	IdleMillis int64     `json:"idle_ms,omitempty"`  // how long nothing has happened on it
	Unused     bool      `json:"unused,omitempty"`   // no request has come on it yet
	Name       string    `json:"name,omitempty"`     // who takes it: OnHandoff's name
	State      []byte    `json:"state,omitempty"`    // the program's own, or with NameHTTP2 an encoded h2.State
	TLS        int       `json:"tls,omitempty"`      // the size of its TLS state, which is beside the JSON: see AppendOffer
}

// NameHTTP2 is the Name of an HTTP/2 connection in the clear, which has a Listener, too. A version that does not know it
// finds no OnHandoff of that name, and refuses the connection: it can get such an offer, which was made to the
// process that it listens in the place of.
const NameHTTP2 = "gracex http2"

// PrefixWebSocket begins the Names of the connections that package wsmove moves.
const PrefixWebSocket = "wsmove."

// IsWebSocket reports whether it is a WebSocket of package wsmove.
func (c Conn) IsWebSocket() bool { return strings.HasPrefix(c.Name, PrefixWebSocket) }

// IsHTTP2 reports whether it is an HTTP/2 connection in the clear.
func (c Conn) IsHTTP2() bool { return c.Name == NameHTTP2 && c.Listener != nil }

// Idle is IdleMillis as a Duration.
func (c Conn) Idle() time.Duration { return millis(c.IdleMillis) }

// TakenMsg says which connections of an Offer were not taken, and how many more
// can come.
type TakenMsg struct {
	Refused []Refusal `json:"refused,omitempty"`
	Room    int       `json:"room"`
	Busy    bool      `json:"busy,omitempty"` // it has answered requests since the last answer
	// Again: all are refused, and another process is about to listen that can take them.
	Again bool `json:"again,omitempty"`
}

// maxRefusal bounds the reason of a refusal, in bytes. A frame has room for as many as an Offer has connections.
const maxRefusal = 128

// Refuse says why a connection of an Offer is not taken.
func Refuse(conn int, reason string) Refusal {
	return Refusal{Conn: conn, Reason: text.Cut(reason, maxRefusal)}
}

// Refusal names one connection of an Offer.
type Refusal struct {
	Conn   int    `json:"conn"` // its index
	Reason string `json:"reason"`
}

// MovedMsg is the old process's count.
type MovedMsg struct {
	Moved uint64 `json:"moved"`
}

// CommitMsg hands the service over. Without ProbationMillis it stands for Confirm, too.
type CommitMsg struct {
	ProbationMillis int64 `json:"probation_ms,omitempty"` // how long the probation is; Confirm follows
	DrainMillis     int64 `json:"drain_ms"`               // the old process cuts what is left after this long
	Again           bool  `json:"again"`                  // an upgrade was asked for meanwhile: do one more
}

// Drain is DrainMillis as a Duration.
func (m CommitMsg) Drain() time.Duration { return millis(m.DrainMillis) }

// Probation is ProbationMillis as a Duration.
func (m CommitMsg) Probation() time.Duration { return millis(m.ProbationMillis) }

// millis keeps what a peer says in range.
func millis(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// OlderThan names the generation of a process and those before it, newest first.
func OlderThan(generation int, older []int) OlderMsg {
	older = older[:min(len(older), maxOlder-1)]
	return OlderMsg{Older: len(older) + 1, Generations: append([]int{generation}, older...)}
}

// OlderMsg counts the processes that drain.
type OlderMsg struct {
	Older       int   `json:"older"`                 // the old process among them
	Generations []int `json:"generations,omitempty"` // their numbers, newest first; absent: one follows the other
}

// maxOlder bounds the processes that a peer can name.
const maxOlder = 4096

// Numbers returns the generations, newest first. first is the old process's.
func (m OlderMsg) Numbers(first int) []int {
	if len(m.Generations) > 0 {
		return m.Generations[:min(len(m.Generations), maxOlder)]
	}
	all := make([]int, min(max(m.Older, 0), maxOlder))
	for i := range all {
		all[i] = first - i
	}
	return all
}

// CutBefore has the generations with a lower number end now. An empty reason is that too many drain.
func CutBefore(generation int, reason string) CutMsg {
	return CutMsg{Before: generation, Reason: text.Reason(reason)}
}

// CutMsg names generations.
type CutMsg struct {
	Before int    `json:"before"`           // those with a lower number are to end now
	Reason string `json:"reason,omitempty"` // absent: too many drain
}

// EntrustMsg describes a process that is left to the new one.
type EntrustMsg struct {
	PID         int    `json:"pid"`
	Generation  int    `json:"generation"`
	DrainMillis int64  `json:"drain_ms"`           // it cuts what is left after this long
	Drained     bool   `json:"drained,omitempty"`  // it has said so
	Returned    bool   `json:"returned,omitempty"` // it has said so
	Adopted     uint64 `json:"adopted,omitempty"`  // connections that were taken over from it so far
	Older       []int  `json:"older,omitempty"`    // the generations before it that it waits for, newest first
	Owed        int    `json:"owed,omitempty"`     // how often it was told Follows and has not answered
}

// FollowedMsg answers Follows.
type FollowedMsg struct {
	// Awaits: it waits for the answers to its offers. Otherwise it has taken back what it has offered before this.
	Awaits bool `json:"awaits,omitempty"`
}

// Drain is DrainMillis as a Duration.
func (m EntrustMsg) Drain() time.Duration { return millis(m.DrainMillis) }

// StandMsg says where a worker stands.
type StandMsg struct {
	PID        int   `json:"pid"`
	Generation int   `json:"generation"`
	State      uint8 `json:"state"`           // core's State; 0 before there is an Upgrader
	Clean      bool  `json:"clean,omitempty"` // it has served, and stops because it was asked to
	Plain      bool  `json:"plain,omitempty"` // said for a program that does not know the link
	// WayBack: it drains, and serves again if the worker that serves ends.
	WayBack bool `json:"way_back,omitempty"`
	Works   bool `json:"works,omitempty"` // its background work runs
}

// SignalMsg passes a signal on.
type SignalMsg struct {
	ID     int  `json:"id"`
	Signal int  `json:"signal"`
	All    bool `json:"all,omitempty"` // it is for all workers, also those that drain
}

// HeardMsg says what has become of it.
type HeardMsg struct {
	ID      int  `json:"id"`
	Taken   bool `json:"taken"`
	Unknown bool `json:"unknown,omitempty"` // the program handles that signal itself: it wants the real one
}

// KeepMsg names listeners.
type KeepMsg struct {
	Listeners []Listener `json:"listeners"`      // in the order of the descriptors
	More      bool       `json:"more,omitempty"` // they come on top of those of the frame before
}

// LaunchMsg is a part of what a worker says of how it was started: the parts together are spawn.Launch's.
type LaunchMsg struct {
	Part []byte `json:"part"`
	More bool   `json:"more,omitempty"` // another part follows
}

// MaxPart bounds a part, in bytes: in base64 a third more fits into a frame.
const MaxPart = 128 << 10

// ProveMsg has what nobody can know before.
type ProveMsg struct {
	Nonce string `json:"nonce"`
}

// AskMsg asks for a Report.
type AskMsg struct {
	WaitMillis int64 `json:"wait_ms"` // how long the new process waits for the answer
}

// Wait is WaitMillis as a Duration.
func (m AskMsg) Wait() time.Duration { return millis(m.WaitMillis) }

// ReportMsg describes the old process and those before it, newest first, each as the
// control socket's status does: control.Generation.
type ReportMsg struct {
	Generations json.RawMessage `json:"generations"`
}

// AccountMsg is what a process has counted. To the next process and to the supervisor it is all that the process knows, to
// the one before what it has counted itself.
type AccountMsg struct {
	Totals json.RawMessage `json:"totals,omitempty"` // a control.Totals
	Own    json.RawMessage `json:"own,omitempty"`    // a control.Account
	Events json.RawMessage `json:"events,omitempty"` // a list of control.Event that were not told before
}

// MaxTotals bounds the totals that a supervisor keeps, in bytes.
const MaxTotals = MaxPayload / 4

// ReasonMsg says why, in words for a log.
type ReasonMsg struct {
	Reason string `json:"reason"`
}

// RejectMsg says why the old process is to serve again.
type RejectMsg struct {
	ReasonMsg
	// Operator: an operator asks for it, and not the new process. The reason may be empty.
	Operator bool `json:"operator,omitempty"`
}

// Because is the reason of an error, cut to what a frame has room for. A word that does not fit would not be said at
// all, and the decision with it.
func Because(reason string) ReasonMsg { return ReasonMsg{Reason: text.Reason(reason)} }

// AbortMsg says why a new process is given up.
type AbortMsg struct {
	ReasonMsg
	// Stop: the service stops, so the new process is not to serve whatever becomes of the
	// old one. Absent: the old one serves, as long as it lives.
	Stop bool `json:"stop,omitempty"`
}

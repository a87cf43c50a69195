// Package wire is the handover protocol's frame format: what the old and the new generation say to each other
// on the handover socket. docs/protocol.md is the written page.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Version is the major version of the protocol. A peer that speaks another one
// is treated as a program that speaks only the plain protocol.
const Version = 1

// MaxPayload bounds a frame's payload in bytes. The largest frames are Welcome,
// which names every listener and takes about 100 bytes for each, and Offer, which
// takes as much for each connection and has the state of some.
const MaxPayload = 256 << 10

const headerLen = 8

// MaxFrame is the length of the longest frame in bytes.
const MaxFrame = headerLen + MaxPayload

var magic = [2]byte{'G', 'X'}

// Type says what a frame means. The numbers are part of the protocol and are
// never used again for something else.
type Type uint8

const (
	// Hello is the new process's first frame, sent before its main runs: this
	// program speaks the protocol. Payload: HelloMsg.
	Hello Type = 1
	// Welcome is the old process's first frame, in the socket before the new
	// process starts. Payload: WelcomeMsg.
	Welcome Type = 2
	// Ready: the new process can serve, and accepts on Commit. Payload: ReadyMsg.
	Ready Type = 3
	// Commit answers Ready: the old process accepts nothing, the new one is current. Payload: CommitMsg.
	Commit Type = 4
	// Failed: the new process gives up before it is ready. Payload: ReasonMsg.
	Failed Type = 5
	// Abort: the old process gives the new one up, and serves, or stops the service. Payload: AbortMsg.
	Abort Type = 6
	// Disown: the old process took the new one for a program that speaks only the plain protocol. Whoever
	// reads this got the handover socket through it and has another old process: its parent. No payload.
	Disown Type = 7
	// Offer hands established connections over, after Commit: their descriptors
	// come with the frame's first byte. Payload: OfferMsg.
	Offer Type = 8
	// Taken answers an Offer. What it does not refuse is the new process's from
	// here on; what has no answer is the old one's. Payload: TakenMsg.
	Taken Type = 9
	// Moved is the old process's last word on connections, the count of what it
	// handed over. Payload: MovedMsg.
	Moved Type = 10
	// Drained is the old process's last word: its drain has ended. No payload.
	Drained Type = 11
	// Ping asks a new process on probation for a sign of life. No payload.
	Ping Type = 12
	// Pong answers Ping. No payload.
	Pong Type = 13
	// Reject: the new process is on probation and found itself bad; the old one is to
	// serve again, and answers with Abort. Payload: RejectMsg.
	Reject Type = 14
	// Confirm says that the probation is passed; Confirmed answers it. Payload: CommitMsg.
	Confirm Type = 15
	// Settled: the old process is not to serve again, whatever becomes of the new one, which
	// is about to stop or to start a next process. No payload.
	Settled Type = 16
	// Again: the process that says it was asked for an upgrade that it can't do; one more is to
	// follow, by the one that has the service then. No payload.
	Again Type = 17
	// Older says how many generations older than the new process are left. Payload: OlderMsg.
	Older Type = 18
	// Cut: too many generations drain, the oldest are to end now. It is passed on to the
	// oldest. Payload: CutMsg.
	Cut Type = 19
	// Ask: the new process wants to know how the old one and those before it are. No
	// lifecycle depends on it. Payload: AskMsg.
	Ask Type = 20
	// Report answers Ask. Payload: ReportMsg.
	Report Type = 21

	// The next ones, to Heard, and Launch are said on the link between a worker and its supervisor, and Returned
	// is there, too. Welcome is the supervisor's first frame on it to a worker that it has started itself.

	// Stand: where the worker stands, at first before its main runs. Payload: StandMsg.
	Stand Type = 22
	// Keep: the worker's listeners, which come as descriptors with the frame's first
	// byte. The supervisor keeps them in place of those that it has from this worker, for
	// the next one if this one crashes. Payload: KeepMsg.
	Keep Type = 23
	// Link: the worker is about to start a new process, whose end of the link this is: one
	// descriptor. No payload.
	Link Type = 24
	// Release: the worker is about to close its listeners for good, and the supervisor is
	// to close its duplicates first. No payload.
	Release Type = 25
	// Released answers Release. No payload.
	Released Type = 26
	// Signal: a signal came to the supervisor, and is for this worker. Payload: SignalMsg.
	Signal Type = 27
	// Heard answers Signal. What has no answer when the link ends, or was not taken, goes to the worker
	// that is current then. Payload: HeardMsg.
	Heard Type = 28

	// Serves: the new process, which is current, accepts and reads datagrams. The old one has
	// read those until now, so that the queue of a socket does not overflow. No payload.
	Serves Type = 29

	// Confirmed: the new process accepts, the pid file names it, and it goes on by itself.
	// It answers Confirm and a Commit without a probation, or is said unasked by a process
	// whose old one has said nothing for long. The old one gives up nothing before. No payload.
	Confirmed Type = 30

	// Returned: the background work of the process that says so has returned, and that of the processes
	// before it. The other one's may begin. A process without background work does not say so. A supervisor
	// says it of all other workers. No payload.
	Returned Type = 31
	// Entrust: the old process is about to end, and leaves a process before it to the new one. Its end of the
	// handover socket comes with the frame's first byte. Payload: EntrustMsg.
	Entrust Type = 32
	// Follows: a process that was entrusted to the one that says so has a new partner. Payload: HelloMsg.
	Follows Type = 33
	// Followed answers Follows. The new process passes it on to the one that has entrusted that process: it can
	// end. Payload: FollowedMsg; none where it is passed on.
	Followed Type = 34

	// Launch, on the link: how the worker was started, which serves for good. The supervisor starts the next one
	// likewise. Payload: LaunchMsg.
	Launch Type = 35

	// Stops: the service stops, so that no next process answers a client that comes back. A process that drains
	// closes idle connections soon, and passes the word on to the ones before it. No payload.
	Stops Type = 36

	// Pass, on a doorbell: what the new process is started with. Its descriptors come with the frame's first byte.
	// Payload: PassMsg.
	Pass Type = 37

	// Prove is said on the link, by a worker that has more rights than its caller: the one at the other end is to show
	// that it is a supervisor now, after the worker has looked at its rights. Payload: ProveMsg.
	Prove Type = 38
	// Proved answers Prove. Payload: ProveMsg, the same.
	Proved Type = 39

	// Tickets, before Commit: the keys of the service's session tickets, for a new process that has asked for them with
	// Ready. Payload: package tickets has it, and it is a secret.
	Tickets Type = 40

	// Account: what the process that says so, and those before it, have counted, and the events that it knows of. It comes
	// with Commit and after it, at most one without an answer, and one more as the last word. It is said on the link,
	// too. No lifecycle depends on it. Payload: AccountMsg.
	Account Type = 41
	// Noted answers Account. No payload.
	Noted Type = 42

	// Promote: the new process is on probation, and its operator wants that to end now, as passed. No payload.
	Promote Type = 43
)

var names = [...]string{
	Hello:   "hello",
	Welcome: "welcome",
	Ready:   "ready",
	Commit:  "commit",
	Failed:  "failed",
	Abort:   "abort",
	Disown:  "disown",
	Offer:   "offer",
	Taken:   "taken",
	Moved:   "moved",
	Drained: "drained",
	Ping:    "ping",
	Pong:    "pong",
	Reject:  "reject",
	Confirm: "confirm",
	Settled: "settled",
	Again:   "again",
	Older:   "older",
	Cut:     "cut",
	Ask:     "ask",
	Report:  "report",

	Stand:    "stand",
	Keep:     "keep",
	Link:     "link",
	Release:  "release",
	Released: "released",
	Signal:   "signal",
	Heard:    "heard",

	Serves:    "serves",
	Confirmed: "confirmed",
	Returned:  "returned",
	Entrust:   "entrust",
	Follows:   "follows",
	Followed:  "followed",
	Launch:    "launch",
	Stops:     "stops",
	Pass:      "pass",
	Prove:     "prove",
	Proved:    "proved",
	Tickets:   "tickets",
	Account:   "account",
	Noted:     "noted",
	Promote:   "promote",
}

// String names the frame type as docs/protocol.md does.
func (t Type) String() string {
	if t.Known() {
		return names[t]
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Known reports whether this version of the protocol has the type.
func (t Type) Known() bool { return int(t) < len(names) && names[t] != "" }

// Frame is one message.
type Frame struct {
	Type    Type
	Payload []byte // JSON, or empty
}

// ErrGarbage is returned for bytes that are not a frame.
var ErrGarbage = errors.New("not a gracex frame")

// ErrSeveral is returned for a frame of whose bytes several processes have written some.
var ErrSeveral = fmt.Errorf("%w: several processes have written it", ErrGarbage)

// VersionError is returned for a frame of another major version.
type VersionError uint8

func (e VersionError) Error() string {
	return fmt.Sprintf("the peer speaks protocol version %d, this program version %d", uint8(e), Version)
}

// ErrTooLong is returned for a frame whose payload is over MaxPayload.
var ErrTooLong = errors.New("the frame is too long")

// Append appends the frame with the given message to b. A nil message means no payload.
func Append(b []byte, t Type, msg any) ([]byte, error) {
	var payload []byte
	if msg != nil {
		var err error
		if payload, err = json.Marshal(msg); err != nil {
			return b, err
		}
	}
	return AppendRaw(b, t, payload)
}

// AppendRaw is Append for a message that is JSON already. It keeps no copy of it.
func AppendRaw(b []byte, t Type, payload []byte) ([]byte, error) {
	if len(payload) > MaxPayload {
		return b, fmt.Errorf("%w: %v of %d bytes, of %d at most", ErrTooLong, t, len(payload), MaxPayload)
	}
	b = slices.Grow(b, headerLen+len(payload)) // so that what is appended is not moved
	b = append(b, magic[0], magic[1], Version, byte(t))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...), nil
}

// Write writes one frame in a single Write call. After an error w may have a part of it, so that nothing may follow:
// see fd.Write for a connection on which other frames do.
func Write(w io.Writer, t Type, msg any) error {
	b, err := Append(nil, t, msg)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// IsWelcome reports whether b begins as a Welcome frame of this version does.
func IsWelcome(b []byte) bool {
	return len(b) >= headerLen && b[0] == magic[0] && b[1] == magic[1] && b[2] == Version && Type(b[3]) == Welcome
}

// IsOnlyWelcome reports whether b is a Welcome frame of this version and nothing else.
func IsOnlyWelcome(b []byte) bool {
	return IsWelcome(b) && uint64(len(b)) == headerLen+uint64(binary.BigEndian.Uint32(b[4:]))
}

// Read reads one frame. It returns io.EOF when the peer closed between two frames, io.ErrUnexpectedEOF when
// it closed inside one, ErrGarbage, or a VersionError.
func Read(r io.Reader) (Frame, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return Frame{}, err
	}
	if h[0] != magic[0] || h[1] != magic[1] {
		return Frame{}, fmt.Errorf("%w: begins with % x", ErrGarbage, h)
	}
	if h[2] != Version {
		return Frame{}, VersionError(h[2])
	}
	n := binary.BigEndian.Uint32(h[4:])
	if n > MaxPayload {
		return Frame{}, fmt.Errorf("%w: a payload of %d bytes", ErrGarbage, n)
	}
	f := Frame{Type: Type(h[3])}
	if n == 0 {
		return f, nil
	}
	f.Payload = make([]byte, n)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		clear(f.Payload) // it may have secrets
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}

// Decode reads the frame's payload into msg. Fields that this version does not
// know are ignored, so that a minor version may add some.
func (f Frame) Decode(msg any) error {
	if err := json.Unmarshal(f.Payload, msg); err != nil {
		return fmt.Errorf("%w: payload of %v: %w", ErrGarbage, f.Type, err)
	}
	return nil
}

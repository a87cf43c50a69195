package peer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Link is a worker's line to the supervisor, which keeps duplicates of its listeners
// and starts the next worker if this one crashes. Its end is the end of this process, or
// of the supervisor. Each generation has its own. A nil one does nothing.
type Link struct {
	conn       *net.UnixConn
	supervisor int  // its process number
	Only       bool // only that process may speak

	early []wire.Frame // that came before anybody listened

	writing  sync.Mutex    // held while a frame is written
	released chan struct{} // closed by the answer to release
	Returned chan struct{} // closed by its word that the background work of other workers has returned
	Gone     chan struct{} // closed when the supervisor is

	listening sync.Once
	ask       atomic.Pointer[func(wire.SignalMsg) bool] // reports false if the word is not taken
	returned  atomic.Pointer[func()]                    // is called when Returned is closed
	Noted     atomic.Pointer[func()]                    // hears that the supervisor knows what was counted; nil: nobody does
}

// NewLink takes descriptor s, and introduces this process: its main has not run yet.
func NewLink(s, supervisor int) (*Link, error) {
	if err := fd.CheckStream(s); err != nil {
		return nil, err
	}
	fd.CloseOnExec(s)
	conn, err := fd.UnixConn(s)
	if err != nil {
		return nil, err
	}
	l := &Link{
		conn: conn, supervisor: supervisor,
		released: make(chan struct{}), Returned: make(chan struct{}), Gone: make(chan struct{}),
	}
	_ = l.Say(wire.Stand, wire.StandMsg{PID: os.Getpid()}, nil) // its end is noticed by listen
	return l, nil
}

// PID is the supervisor's process number, 0 without one.
func (l *Link) PID() int {
	if l == nil {
		return 0
	}
	return l.supervisor
}

// Welcome reads what the supervisor has kept for a worker that it has started.
func (l *Link) Welcome() (wire.WelcomeMsg, error) { return readWelcome(l.conn) }

// Prove returns nil if the supervisor answers now. It is for a process that has more rights than its caller, has looked
// at the supervisor's rights, and believes no word from before. What the supervisor says besides is not lost.
func (l *Link) Prove() error {
	want := wire.ProveMsg{Nonce: rand.Text()}
	if err := l.Say(wire.Prove, want, nil); err != nil {
		return err
	}
	_ = l.conn.SetReadDeadline(time.Now().Add(timing.Word))
	defer l.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // a failed link is noticed by listen
	for in := newEar(l.conn); ; {
		f, err := in.readAlone()
		if err == nil {
			err = f.isBy(l.supervisor)
		}
		if err != nil {
			return err
		}
		var got wire.ProveMsg
		if f.Type != wire.Proved {
			l.early = append(l.early, f.Frame)
		} else if err := f.Decode(&got); err != nil || got == want {
			return err
		}
	}
}

// Follow passes the supervisor's words to ask, the one that was given last. ask reports false for a word that
// it does not take. returned, the one that was given last, is called when Returned is closed, or if it is.
func (l *Link) Follow(ask func(wire.SignalMsg) bool, returned func()) {
	l.ask.Store(&ask)
	l.returned.Store(&returned)
	if isClosed(l.Returned) {
		returned()
	}
	l.listening.Do(func() { go l.listen() })
}

// Join is Follow for a process that stands somewhere from here on, and says so. It listens before that: what nobody takes
// the supervisor asks again at this process's next word, which may be none.
func (l *Link) Join(stand wire.StandMsg, ask func(wire.SignalMsg) bool, returned func()) {
	if l != nil {
		l.Follow(ask, returned)
		l.Stand(stand)
	}
}

// listen passes on what the supervisor says until it is gone.
func (l *Link) listen() {
	defer close(l.Gone)
	for _, f := range l.early {
		l.hear(f)
	}
	in := newEar(l.conn)
	for {
		f, err := in.readAlone()
		if err == nil && l.Only {
			err = f.isBy(l.supervisor)
		}
		if err != nil {
			return
		}
		l.hear(f.Frame)
	}
}

// hear is a word of the supervisor.
func (l *Link) hear(f wire.Frame) {
	switch f.Type {
	case wire.Released:
		if !isClosed(l.released) {
			close(l.released)
		}
	case wire.Returned:
		if !isClosed(l.Returned) {
			close(l.Returned)
			(*l.returned.Load())()
		}
	case wire.Noted:
		if noted := l.Noted.Load(); noted != nil {
			(*noted)()
		}
	case wire.Signal:
		var msg wire.SignalMsg
		if f.Decode(&msg) == nil && !(*l.ask.Load())(msg) {
			_ = l.Say(wire.Heard, wire.HeardMsg{ID: msg.ID}, nil)
		}
	}
}

// Say writes a frame to the supervisor, which may be stopped. A frame of which only a part was written is the last: the
// link is closed then, by which both sides know that they can't go on with it.
func (l *Link) Say(t wire.Type, msg any, files []int) error {
	b, err := wire.Append(nil, t, msg)
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(timing.Say))
	if len(files) == 0 {
		return fd.Write(l.conn, b)
	}
	return fd.Send(l.conn, b, files)
}

// Stand says where this process stands.
func (l *Link) Stand(msg wire.StandMsg) {
	if l != nil {
		msg.PID = os.Getpid()
		_ = l.Say(wire.Stand, msg, nil)
	}
}

// Keep gives the supervisor duplicates of all listeners, in place of those that it has. The files
// stay the caller's.
func (l *Link) Keep(words []wire.Listener, files []int) error {
	for from, most := 0, fd.MaxFiles; ; {
		to := min(from+most, len(words))
		err := l.Say(wire.Keep, wire.KeepMsg{Listeners: words[from:to], More: from > 0}, files[from:to])
		switch {
		case errors.Is(err, wire.ErrTooLong) && to-from > 1: // their names are long
			most = (to - from) / 2
		case err != nil || to == len(words):
			return err
		default:
			from = to
		}
	}
}

// Close closes the link, which is the supervisor's word that this process has nothing more to do with the
// service.
func (l *Link) Close() { _ = l.conn.Close() }

// Launch says how this process was started, after which the supervisor starts the next worker likewise.
func (l *Link) Launch(told []byte) error {
	if l == nil {
		return nil
	}
	for {
		n := min(len(told), wire.MaxPart)
		msg := wire.LaunchMsg{Part: told[:n], More: n < len(told)}
		if err := l.Say(wire.Launch, msg, nil); err != nil || !msg.More {
			return err
		}
		told = told[n:]
	}
}

// Release returns when the supervisor has closed its duplicates: what this process does
// not accept any more is to be refused and not to wait in a queue.
func (l *Link) Release() {
	if l == nil || l.Say(wire.Release, nil, nil) != nil {
		return
	}
	t := time.NewTimer(timing.Say)
	defer t.Stop()
	select {
	case <-l.released:
	case <-l.Gone:
	case <-t.C:
	}
}

// ForNext makes the link of the next generation: the descriptor is its end, and the
// caller's. It is -1 without a supervisor.
func (l *Link) ForNext() (int, error) {
	if l == nil {
		return -1, nil
	}
	ours, end, err := fd.Pair()
	if err != nil {
		return -1, err
	}
	defer ours.Close() // the supervisor has it
	rc, err := ours.(*net.UnixConn).SyscallConn()
	if err == nil {
		cerr := rc.Control(func(s uintptr) { err = l.Say(wire.Link, nil, []int{int(s)}) })
		if err == nil {
			err = cerr
		}
	}
	if err != nil {
		_ = fd.Close(end)
		return -1, fmt.Errorf("the supervisor (pid %d) can't be told: %w", l.supervisor, err)
	}
	return end, nil
}

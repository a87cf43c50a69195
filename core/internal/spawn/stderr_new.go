package spawn

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Stderr is a new process's stderr while it starts and is on probation: its descriptor 2 is a pipe
// to the old process, which copies what comes, so that it can say why the new one
// failed. The real one comes back with GiveBack, or when the old process is gone or stands still.
//
// This process holds the read end too: it never writes into a pipe without a reader,
// and reads what the old process can't read any more.
//
// A nil one does nothing.
type Stderr struct {
	real   int      // what descriptor 2 was in the old process; this one's
	pipe   *os.File // the read end
	pipeID uint64   // of the write end
	oldPID int

	silence atomic.Pointer[func() time.Duration] // see Serves

	once     sync.Once
	given    chan struct{} // closed when descriptor 2 is the real one
	orphaned chan struct{} // closed when the old process is gone; see Orphaned
	gone     sync.Once
}

// TakeStderr takes the descriptors that c names, and watches over them from here on. It
// returns nil if there are none.
func TakeStderr(c wire.HandoverInfo) (*Stderr, error) {
	if c.Stderr == 0 {
		return nil, nil
	}
	// The runtime opens descriptors of its own where there are gaps, so these are
	// touched only if they are what they should be.
	if _, err := fd.PipeID(c.Pipe); err != nil {
		return nil, fmt.Errorf("%s: pipe: %w", wire.EnvHandover, err)
	}
	fd.CloseOnExec(c.Pipe)
	if err := fd.CheckOpen(c.Stderr); err != nil {
		return nil, fmt.Errorf("%s: stderr: %w", wire.EnvHandover, err)
	}
	fd.CloseOnExec(c.Stderr)
	s := &Stderr{
		real: c.Stderr, pipe: os.NewFile(uintptr(c.Pipe), "pipe"), pipeID: c.PipeID, oldPID: c.PID,
		given: make(chan struct{}), orphaned: make(chan struct{}),
	}
	go s.watch()
	return s, nil
}

// GiveBack puts the real stderr back. Descriptor 2 is left alone if it is something
// else by now: a wrapper script or the program has sent it elsewhere.
func (s *Stderr) GiveBack() {
	if s == nil {
		return
	}
	s.once.Do(func() {
		if id, err := fd.PipeID(fd.Stderr); err == nil && id == s.pipeID {
			_ = fd.Replace(s.real, fd.Stderr)
		}
		close(s.given)
	})
}

// Serves says that this process serves and keeps the pipe. From here on it must not wait for an old process that
// stands still and reads nothing. silence returns how long that has said nothing.
func (s *Stderr) Serves(silence func() time.Duration) {
	if s != nil {
		s.silence.Store(&silence)
	}
}

// isDeaf reports whether the old process reads nothing, for all that is known.
func (s *Stderr) isDeaf() bool {
	silence := s.silence.Load()
	return silence != nil && (*silence)() > timing.Silence
}

// Orphaned says that the old process is gone.
func (s *Stderr) Orphaned() {
	if s != nil {
		s.gone.Do(func() { close(s.orphaned) })
	}
}

// watch waits until the old process is gone or stands still, and copies what it has
// left in the pipe. It ends when nobody has the pipe as its stderr any more.
func (s *Stderr) watch() {
	t := time.NewTicker(timing.Poll)
	tick := t.C
	given := s.given
	var late <-chan time.Time
	left := 0 // in the pipe, when it was last looked at
	for waiting := true; waiting; {
		select {
		case <-tick:
			waiting = proc.Alive(s.oldPID) && !s.isDeaf()
		case <-given: // a process that goes on by itself hears of the end on the handover socket
			t.Stop()
			tick, given, late = nil, nil, time.After(timing.Silence)
			left, _ = s.unread()
		case <-late:
			now, known := s.unread()
			if !known || left > 0 && now >= left { // an old process that stands still has not read what came last
				s.catchUp()
				now, known = s.unread()
			}
			if left, late = now, nil; known {
				late = time.After(timing.Silence)
			}
		case <-s.orphaned:
			waiting = false
		}
	}
	t.Stop()
	s.catchUp()
	s.GiveBack()
	_, _ = io.Copy(descriptor(s.real), s.pipe)
	_, _ = io.Copy(io.Discard, s.pipe) // nobody takes it, and nobody is held up
	_ = s.pipe.Close()
	_ = fd.Close(s.real)
}

// unread is how many bytes wait in the pipe. It reports false if that is not known.
func (s *Stderr) unread() (n int, known bool) {
	rc, err := s.pipe.SyscallConn()
	if err != nil {
		return 0, false
	}
	return fd.Unread(rc)
}

// catchUp copies what waits in the pipe, so that it comes before what this process
// writes to its real stderr. One that writes all the time can't hold that up.
func (s *Stderr) catchUp() {
	if s.pipe.SetReadDeadline(time.Now().Add(catchUpWait)) != nil {
		return // another process has made it blocking
	}
	_, _ = io.Copy(descriptor(s.real), io.LimitReader(s.pipe, captureRest))
	_ = s.pipe.SetReadDeadline(time.Time{})
}

// catchUpWait is enough for a pipe's content, and does not hold up what comes after.
const catchUpWait = 20 * time.Millisecond

// descriptor is a writer to what may be shared with other processes, and whose flags
// are not this process's to change.
type descriptor int

func (d descriptor) Write(b []byte) (int, error) {
	if err := fd.WriteAll(int(d), b); err != nil {
		return 0, err
	}
	return len(b), nil
}

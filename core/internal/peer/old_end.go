package peer

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// await looks until it is so, and reports whether that was before stop is closed.
func await(so func() bool, stop <-chan struct{}) bool {
	t := time.NewTicker(timing.Poll)
	defer t.Stop()
	for !so() {
		select {
		case <-t.C:
		case <-stop:
			return false
		}
	}
	return true
}

// staysGivenUp waits until all that the old process has said is heard, and reports whether nothing of
// it is that it serves again. This process does not hear what one says that is left to the next process.
func (p *Old) staysGivenUp(stop <-chan struct{}) bool {
	for {
		unheard := p.Unheard() // first, because what it says comes from there
		switch {
		case isClosed(p.Aborted) || isClosed(p.keptAlive) || p.Rests() || isClosed(stop):
			return false
		case !unheard || isClosed(p.Gone):
			return true
		}
		time.Sleep(timing.EndPoll)
	}
}

// Unheard reports whether it has said something that is not heard yet: it is in the socket, or in the hand of the one that
// listens. A plain program says nothing.
func (p *Old) Unheard() bool {
	return !p.Plain() && (pending(p.ctl) || p.hand.Load() == handFull)
}

// errServes is why an old process is not ended.
var errServes = errors.New("it serves again, or may")

// end sends it a signal, unless it has said that it serves again, or may have to. Of a kill and that one comes first,
// for all in this process.
func (p *Old) end(sig syscall.Signal) error {
	p.fate.Lock()
	defer p.fate.Unlock()
	if isClosed(p.Aborted) || isClosed(p.keptAlive) {
		return errServes
	}
	err := p.Signal(sig)
	p.killed = p.killed || err == nil && sig == syscall.SIGKILL
	return err
}

// KeepAlive keeps this process from ending it. It is the lifecycle's.
func (p *Old) KeepAlive() {
	p.fate.Lock()
	defer p.fate.Unlock()
	if !isClosed(p.keptAlive) {
		close(p.keptAlive)
	}
}

// Alive reports whether the old process is still there. One with a handover socket holds its end of it; any
// other is the parent, and a process whose parent ends gets another one. As a plain one pid 1 does not count: it
// must live.
func (p *Old) Alive() bool {
	if p.Plain() {
		if old, _ := p.plain(); old != nil && old.Pid != proc.StartedBy {
			return proc.Running(old) // a shell is between
		}
		return proc.StartedBy > 1 && os.Getppid() == proc.StartedBy
	}
	return p.oldPID > 0 && !isClosed(p.Gone)
}

// HungUp reports whether an old process that can't be heard any more lives: it serves, and
// is about to end this one.
func (p *Old) HungUp() bool {
	return p.ctl != nil && isClosed(p.Gone) && p.AlivePID()
}

// AlivePID reports whether a process with its number lives, which may serve. The supervisor that has drained does
// not, and lives on.
func (p *Old) AlivePID() bool {
	return p.oldPID > 0 && proc.Alive(p.oldPID) && !(p.Supervises() && isClosed(p.Drained))
}

// Survives reports, when it can't be told a word, whether it lives all the same: it has hung up.
func (p *Old) Survives() bool { return p.oldPID > 0 && !p.endsWithin(timing.Reap, nil) }

// Supervises reports whether it supervises this process.
func (p *Old) Supervises() bool { return p.oldPID > 0 && p.oldPID == p.Supervisor }

// endsWithin waits for the end of an old process that can't be heard any more.
func (p *Old) endsWithin(d time.Duration, stop <-chan struct{}) bool {
	limit := time.After(d)
	for p.AlivePID() {
		select {
		case <-time.After(timing.EndPoll):
		case <-limit:
			return false
		case <-stop:
			return false
		}
	}
	return true
}

// open opens the old process, which is on gracex. One with fewer rights than this can't name a process that it could not
// signal itself.
func (p *Old) open() (*os.Process, error) {
	if !p.maker.Known() || p.maker.Trusted() {
		return os.FindProcess(p.PID())
	}
	return proc.Named(p.PID(), p.maker)
}

// Signal sends sig to the old process if it still is the one that it was. A plain one gets nothing unless the system
// shows that it is an old version of this program (proc.ErrNotShown).
func (p *Old) Signal(sig syscall.Signal) error {
	if p.Plain() {
		old, err := p.plain()
		switch {
		case err != nil:
			return err
		case !p.Alive():
			return os.ErrProcessDone
		}
		return old.Signal(sig)
	}
	// The handle first, then the check: a handle opened while the parent is alive can't name a later process
	// (pidfd, Linux). Elsewhere the two calls are as close together as they can be.
	old, err := p.open()
	if err != nil {
		return err
	}
	defer func() { _ = old.Release() }()
	if !p.Alive() {
		return os.ErrProcessDone
	}
	return old.Signal(sig)
}

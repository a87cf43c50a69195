package core

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// parent is the old process as the new one sees it.
type parent struct {
	ctl net.Conn // nil: it speaks only the plain protocol
	pid int

	committed chan struct{} // closed when it handed over
	aborted   chan struct{} // closed when it gave this process up
	gone      chan struct{} // closed when it is no more, or hung up

	commit wire.CommitMsg // valid once committed
	reason string         // valid once aborted
}

func newParent(ctl net.Conn) *parent {
	return &parent{
		ctl:       ctl,
		pid:       startedBy,
		committed: make(chan struct{}),
		aborted:   make(chan struct{}),
		gone:      make(chan struct{}),
	}
}

func (p *parent) plain() bool { return p.ctl == nil }

// welcome reads the old process's first frame.
func (p *parent) welcome() (wire.WelcomeMsg, error) {
	var msg wire.WelcomeMsg
	_ = p.ctl.SetReadDeadline(time.Now().Add(parentWait))
	f, err := wire.Read(p.ctl)
	if err != nil {
		return msg, fmt.Errorf("no word from the old process: %w", err)
	}
	_ = p.ctl.SetReadDeadline(time.Time{})
	if f.Type != wire.Welcome {
		return msg, fmt.Errorf("%w: %v instead of welcome", wire.ErrGarbage, f.Type)
	}
	return msg, f.Decode(&msg)
}

// listen follows what the old process says until it is gone. It runs in a
// goroutine of its own.
func (p *parent) listen(stop <-chan struct{}) {
	defer close(p.gone)
	if p.plain() {
		p.waitGone(stop)
		return
	}
	for {
		f, err := wire.Read(p.ctl)
		if err != nil {
			return
		}
		switch f.Type {
		case wire.Commit:
			if !isClosed(p.committed) && f.Decode(&p.commit) == nil {
				close(p.committed)
			}
		case wire.Abort:
			var msg wire.ReasonMsg
			if !isClosed(p.aborted) && f.Decode(&msg) == nil {
				p.reason = msg.Reason
				close(p.aborted)
			}
		}
	}
}

// parentPoll is how often a new process looks whether an old one that has no
// control socket is still there. Nothing depends on noticing it sooner.
const parentPoll = 50 * time.Millisecond

func (p *parent) waitGone(stop <-chan struct{}) {
	t := time.NewTicker(parentPoll)
	defer t.Stop()
	for p.alive() {
		select {
		case <-t.C:
		case <-stop:
			return
		}
	}
}

// alive reports whether the process that started this one is still there: a
// process whose parent ends gets another one.
func (p *parent) alive() bool { return p.pid > 1 && os.Getppid() == p.pid }

// say writes a frame to the old process, which may be stopped or gone.
func (p *parent) say(t wire.Type, msg any) error {
	if p.plain() {
		return nil
	}
	_ = p.ctl.SetWriteDeadline(time.Now().Add(parentWait))
	return wire.Write(p.ctl, t, msg)
}

// signal sends sig to the old process if it is still the one that started this
// one. It is never sent to pid 1.
func (p *parent) signal(sig syscall.Signal) error {
	// The handle first, then the check: a handle opened while the parent is
	// alive can't name a later process (pidfd, Linux). Elsewhere the two calls
	// are as close together as they can be.
	proc, err := os.FindProcess(p.pid)
	if err != nil {
		return err
	}
	defer func() { _ = proc.Release() }()
	if !p.alive() {
		return os.ErrProcessDone
	}
	return proc.Signal(sig)
}

// killGrace is how long a process has to obey SIGTERM before SIGKILL.
const killGrace = 5 * time.Second

// seeOff sees to it that the old process goes: it has its own deadline, and a
// process that is stuck past it is told once and then killed.
func (u *Upgrader) seeOff(p *parent, limit time.Duration) {
	for _, step := range []struct {
		after time.Duration
		sig   syscall.Signal
	}{{limit + killGrace, syscall.SIGTERM}, {killGrace, syscall.SIGKILL}} {
		t := time.NewTimer(step.after)
		select {
		case <-p.gone:
			t.Stop()
			u.log.Debug("the old process is gone", "old_pid", p.pid)
			return
		case <-u.done:
			t.Stop()
			return
		case <-t.C:
		}
		err := p.signal(step.sig)
		if errors.Is(err, os.ErrProcessDone) {
			return
		}
		u.log.Warn("the old process did not go by its deadline; signal sent",
			"old_pid", p.pid, "signal", step.sig.String(), "error", err)
	}
	select {
	case <-p.gone:
		u.log.Debug("the old process is gone", "old_pid", p.pid)
	case <-u.done:
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

package core

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// overlapLinger is how long a listener still accepts after new connections go to the other one: what
// is queued, and whose handshake is not done.
const overlapLinger = time.Second

// errLater: an upgrade is in progress, whose new process has what this one has.
var errLater = errors.New("not now")

// endOverlap settles the listener when the old process is gone.
func (u *Upgrader) endOverlap(l *listener, o *overlap) {
	select {
	case <-u.phase.accepting:
	case <-l.closed:
		return
	case <-u.phase.done:
		return
	}
	if u.seenOff != nil {
		select {
		case <-u.seenOff:
		case <-l.closed:
			return
		}
		if isClosed(u.inherited.old.Aborted) {
			return // it serves again
		}
	}
	for {
		err := u.request(func(lc *lifecycle) error { return lc.settleOverlap(l, o) })
		if err != nil && !errors.Is(err, errLater) && !errors.Is(err, ErrStopped) {
			u.log.Error("the address of the old process stays in use; restart the service to change it",
				"address", o.addr.String(), "error", err)
		}
		if !errors.Is(err, errLater) {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-l.closed:
			return
		}
	}
}

// settleOverlap leaves one listener.
func (l *lifecycle) settleOverlap(ln *listener, o *overlap) error {
	if l.state() == StateUpgrading || l.outgoing != nil {
		return errLater
	}
	if l.state() != StateCurrent {
		return ErrStopped
	}
	if o.words() == nil {
		return l.u.settleWider(o)
	}
	return l.u.settleNarrower(ln, o)
}

// settleWider ends the narrower listeners. New connections come to the wider one, and what the others
// have queued is accepted before they are closed.
func (u *Upgrader) settleWider(o *overlap) error {
	for _, a := range o.asides {
		if u.passing.remove(a) {
			if err := fd.PassOver(a.dup); err != nil {
				u.log.Warn("connections may be refused while a listener of the old process is closed",
					"address", a.say.Address, "error", err)
			}
			_ = fd.Close(a.dup)
		}
	}
	u.keepListeners()
	u.log.Info("the old process's listener is closed", "address", o.addr.String())
	time.AfterFunc(overlapLinger, func() { o.leave(0) })
	return nil
}

// settleNarrower opens the listener that the wider one has stood in for, and closes that one later.
func (u *Upgrader) settleNarrower(ln *listener, o *overlap) error {
	wider, err := o.SyscallConn()
	if err != nil {
		return err
	}
	if err := reusePort(true)("", "", wider); err != nil {
		return err
	}
	defer func() { _ = reusePort(false)("", "", wider) }()
	lc := net.ListenConfig{Control: reusePort(true)}
	narrower, err := lc.Listen(context.Background(), "tcp", o.addr.String())
	if err != nil {
		return err
	}
	rc, err := narrower.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	dup, err := fd.Dup(rc)
	if err != nil {
		_ = narrower.Close()
		return err
	}
	if err := o.add(narrower); err != nil {
		_ = fd.Close(dup)
		return err
	}
	o.mu.Lock()
	o.standsIn = nil
	o.mu.Unlock()
	ln.passOn(dup)
	u.keepListeners()
	u.log.Info("the old process's listener is closed", "address", o.addr.String())
	time.AfterFunc(overlapLinger, func() { o.leave(1) })
	return nil
}

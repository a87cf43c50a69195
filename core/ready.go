package core

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Ready says that this process can serve, and returns when it is the current
// generation. In this order: the ready checks, inherited listeners that nobody
// claimed are closed, connections are accepted, the old process is told and
// stops accepting, the pid file names this process.
//
// On an error nothing has been lost: the process stops and Serve and Done
// return; an old process serves on. Later calls return what the first one did.
func (u *Upgrader) Ready() error {
	u.readyOnce.Do(func() {
		if u.readyErr = u.ready(); u.readyErr != nil {
			u.requestStop(u.readyErr)
		}
	})
	return u.readyErr
}

func (u *Upgrader) ready() error {
	u.serverMu.Lock()
	failed := u.failed
	u.serverMu.Unlock()
	if failed != nil {
		return failed
	}
	if err := u.check(); err != nil {
		return err
	}
	var pf *pidfile.File
	if u.cfg.pidFile != "" {
		var err error
		if pf, err = pidfile.Prepare(u.cfg.pidFile, os.Getpid()); err != nil {
			return wrap("ready", err)
		}
		defer pf.Discard() // nothing is left of it after Commit
	}
	paths := u.closeUnclaimed()
	if err := u.advance(advanceRequest{to: StateReady}); err != nil {
		return err
	}
	close(u.accepting)
	again, err := u.takeOver()
	if err != nil {
		return err
	}
	u.committed.Store(true)
	for _, remove := range paths {
		remove()
	}
	if pf != nil {
		if err := pf.Commit(); err != nil {
			u.log.Error("the pid file does not name this process", "error", err)
		}
	}
	if err := u.advance(advanceRequest{to: StateCurrent, again: again}); err != nil {
		if pf != nil {
			_ = pidfile.Remove(u.cfg.pidFile, os.Getpid())
		}
		return err
	}
	u.log.Info("current", "addresses", u.listeners.addresses())
	return nil
}

// advance asks the lifecycle for the next state.
func (u *Upgrader) advance(req advanceRequest) error {
	req.reply = make(chan bool, 1)
	select {
	case u.advances <- req:
	case <-u.done:
		return ErrStopped
	}
	if !<-req.reply {
		return ErrStopped
	}
	return nil
}

// check runs the ready checks.
func (u *Upgrader) check() error {
	ctx, cancel := context.WithTimeout(u.life, u.cfg.readyTimeout)
	defer cancel()
	for _, check := range u.cfg.readyChecks {
		if err := runHook(ctx, check); err != nil {
			if u.life.Err() != nil {
				return ErrStopped
			}
			return wrap("ready check", err)
		}
	}
	return nil
}

// closeUnclaimed closes the inherited listeners that this version of the program
// does not use, and returns what removes the paths of unix sockets among them,
// for when the old process is out of the way.
func (u *Upgrader) closeUnclaimed() (paths []func()) {
	u.inheritMu.Lock()
	defer u.inheritMu.Unlock()
	for _, in := range u.inherited.listeners {
		u.log.Info("inherited listener not used any more: closed",
			"network", in.network, "address", in.Addr().String())
		if _, ok := in.Addr().(*net.UnixAddr); ok {
			paths = append(paths, pathRemover(in.Addr().String()))
		}
	}
	u.inherited.closeUnclaimed()
	return paths
}

// takeOver tells the old process that this one accepts, and waits until it is
// out of the way. A gracex process answers; one that speaks only the plain
// protocol is told by SIGTERM.
func (u *Upgrader) takeOver() (again bool, err error) {
	p := u.inherited.parent
	if p == nil {
		return false, nil
	}
	limit := u.cfg.drainTimeout
	if p.plain() {
		if err := p.signal(syscall.SIGTERM); err != nil {
			u.log.Warn("the old process was gone already", "old_pid", p.pid, "error", err)
		}
	} else {
		if err := p.say(wire.Ready, nil); err != nil {
			u.log.Warn("the old process can't be told that this one is ready", "old_pid", p.pid, "error", err)
		}
		t := time.NewTimer(parentWait)
		defer t.Stop()
		why := ""
		select {
		case <-p.committed:
		case <-p.aborted:
			return false, fmt.Errorf("%w: %s", ErrAborted, p.reason)
		case <-u.life.Done():
			return false, ErrStopped
		case <-p.gone:
			why = "it is gone"
		case <-t.C:
			why = "it does not answer" // it is stopped or stuck, and seen off at its deadline
		}
		if isClosed(p.committed) { // an old process with nothing to drain is gone right after
			again = p.commit.Again
			limit = time.Duration(p.commit.DrainMillis) * time.Millisecond
		} else {
			u.log.Warn("the old process did not hand over; this one takes over", "old_pid", p.pid, "why", why)
		}
	}
	u.seenOff = make(chan struct{})
	go func() {
		defer close(u.seenOff)
		u.seeOff(p, limit)
	}()
	return again, nil
}

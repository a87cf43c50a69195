package core

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Ready reports that this process can serve, and returns when it is the current generation. It
// runs the ready checks and closes inherited listeners that were not claimed. Then it tells the
// old process, which hands over. Then this process accepts connections, and the pid file names
// it. The pid file is written beforehand, so that a file which can't be written makes Ready fail,
// and nothing fails later.
//
// On an error nothing is lost. This process stops, Serve returns, and Done is closed. An old
// process serves on. Later calls return the first call's result.
func (u *Upgrader) Ready() error {
	u.readyOnce.Do(func() {
		if u.readyErr = u.ready(); u.readyErr != nil {
			u.requestStop(stopRequest{err: u.readyErr, now: true})
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
	var req advanceRequest
	if u.cfg.pidFile != "" {
		var err error
		if req.pidFile, err = pidfile.Prepare(u.cfg.pidFile, servicePID()); err != nil {
			return wrap("ready", err)
		}
		defer req.pidFile.Discard() // nothing is left of it after Commit
	}
	unclaimed, paths := u.closeUnclaimed()
	req.paths = paths
	if err := u.awaitHandover(&req, unclaimed); err != nil {
		return err
	}
	if err := u.request(func(l *lifecycle) error { return l.advance(req) }); err != nil {
		return err
	}
	switch p := u.inherited.parent; {
	case p == nil && boot.master() != nil:
		u.announce(boot.master())
	case p != nil && p.plain():
		u.dismissParent(p, u.cfg.drainTimeout)
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

// closeUnclaimed closes the inherited descriptors that this version of the program
// does not use, and returns their places in Welcome, and what removes the paths of unix sockets among them,
// for when the old process is out of the way.
func (u *Upgrader) closeUnclaimed() (unclaimed []int, removePaths []func()) {
	u.inheritMu.Lock()
	defer u.inheritMu.Unlock()
	for _, in := range u.inherited.unclaimed {
		u.log.Info("inherited "+in.Kind.String()+" not used any more: closed",
			"network", in.Network, "address", in.where(), "name", in.Name)
		unclaimed = append(unclaimed, in.index)
		if at, ok := in.addr().(*net.UnixAddr); ok && in.Network != networkFD && !in.Foreign {
			removePaths = append(removePaths, pathRemover(at.Name))
		}
	}
	u.inherited.closeUnclaimed()
	return unclaimed, removePaths
}

// awaitHandover tells the old process that this one is ready, waits until it hands over, and
// says how in req. Until then this process accepts nothing: what arrives waits
// in the queue of the sockets that both have, and a process that is given up now
// has nothing to lose.
func (u *Upgrader) awaitHandover(req *advanceRequest, unclaimed []int) error {
	req.event, req.drain = handover.NoCommit, u.cfg.drainTimeout // by its own decision
	boot.stderr.giveBack()
	p := u.inherited.parent
	if p == nil || p.plain() {
		return nil
	}
	if err := p.say(wire.Ready, wire.ReadyMsg{Room: u.makeRoom(), Probation: true, StopMillis: u.cfg.stopTime().Milliseconds(), Unclaimed: unclaimed, Version: u.cfg.version}); err != nil {
		u.log.Debug("the old process can't be told that this one is ready", "old_pid", p.pid(), "error", err)
	}
	t := time.NewTimer(parentWait)
	defer t.Stop()
	why := ""
	select {
	case <-p.committed:
	case <-p.aborted:
	case <-p.disowned:
	case <-u.life.Done():
	case <-p.gone:
		why = "it is gone"
	case <-t.C:
		// Stopped or stuck. When it goes on it finds the word that this process
		// is ready, and hands over.
		why = "it does not answer"
	}
	// More than one may hold: an old process with nothing to drain is gone right
	// after its word.
	switch {
	case u.life.Err() != nil:
		return ErrStopped
	case isClosed(p.committed):
		req.event, req.again, req.probation, req.drain = handover.CommitForGood, p.commit.Again, p.commit.Probation(), p.commit.Drain()
		if req.probation > 0 {
			req.event = handover.Commit
		}
		return nil
	case isClosed(p.aborted):
		return because(ErrAborted, errors.New(p.reason))
	case isClosed(p.disowned):
		return nil
	}
	u.log.Warn("the old process did not hand over; this one takes over", "old_pid", p.pid(), "why", why)
	return nil
}

// tellForeign tells an old process that is none of gracex's, in its own way, that this one serves.
func (u *Upgrader) tellForeign(p *parent) {
	var err error
	switch {
	case p.ways.Tell != nil:
		err = p.ways.Tell()
	case p.ways.Obeys:
		err = p.signal(syscall.SIGTERM)
	}
	if err != nil {
		u.log.Warn("the old process was gone already", "old_pid", p.pid(), "error", err)
	}
}

// dismissParent sees to it that the old process goes.
func (u *Upgrader) dismissParent(p *parent, limit time.Duration) {
	if p.plain() {
		u.tellForeign(p)
	}
	go u.seeOff(p, limit)
	go func() {
		defer close(u.seenOff)
		select {
		case <-p.drained: // what is left of it is its main
		case <-p.gone:
		case <-p.aborted: // it serves again
		}
	}()
}

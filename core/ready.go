package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Ready reports that this process can serve, and returns when it is the current generation. It
// starts the servers of AlsoServe, runs the ready checks and closes inherited listeners that were
// not claimed. Then it tells the old process, which hands over. Then this process accepts
// connections, and the pid file names it. The pid file is written beforehand, so that a file which
// can't be written or replaced makes Ready fail, and nothing fails later. A file system that does not answer for 10 s, or
// for half of the ready timeout, makes it fail, too.
//
// On an error nothing is lost. This process stops, Serve returns, and Done is closed. An old
// process serves on. Later calls return the first call's result.
func (u *Upgrader) Ready() error {
	return u.ready()
}

// getReady is Ready, called once.
func (u *Upgrader) getReady() error {
	err := u.becomeCurrent()
	if err != nil {
		u.noteText(control.StepFailed, os.Getpid(), strings.TrimPrefix(err.Error(), prefix))
		// When Ready returns the old process has been told why: main may end this one at once.
		_ = u.request(func(l *lifecycle) error { l.stop(stopRequest{err: err, now: true}); return nil })
		u.pid.discard()
	}
	return err
}

// becomeCurrent makes this process the current generation.
func (u *Upgrader) becomeCurrent() error {
	if err := u.alsoServe(); err != nil {
		return err
	}
	u.awaitRuns()
	if err := u.servers.failure(); err != nil {
		return err
	}
	u.note(control.StepChecking, os.Getpid())
	if err := u.check(); err != nil {
		return err
	}
	// The old process waits for as long as that, and is to hear why.
	if err := u.pid.prepare(u.phase.life, u.servicePID(), min(timing.Word, u.cfg.readyTimeout/2)); err != nil {
		return wrap("ready", err)
	}
	var req advanceRequest
	unclaimed, paths := u.closeUnclaimed()
	req.paths = paths
	if err := u.awaitHandover(&req, unclaimed); err != nil {
		return err
	}
	if err := u.request(func(l *lifecycle) error { return l.advance(req) }); err != nil {
		return err
	}
	switch p := u.inherited.old; {
	case p == nil && u.boot.master() != nil:
		u.announce(u.boot.master())
	case p != nil && p.Plain():
		u.dismissOld(p, u.cfg.drainTimeout)
	}
	return nil
}

// check runs the ready checks.
func (u *Upgrader) check() error {
	ctx, cancel := context.WithTimeout(u.phase.life, u.cfg.readyTimeout)
	defer cancel()
	for _, check := range u.cfg.readyChecks {
		if err := runHook(ctx, check); err != nil {
			if u.phase.life.Err() != nil {
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
	u.inherited.mu.Lock()
	defer u.inherited.mu.Unlock()
	for _, in := range u.inherited.unclaimed {
		if in.Outside {
			continue // it is none that was passed on to be served
		}
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
	defer func() {
		if req.event != handover.Commit {
			u.boot.stderr.GiveBack()
		}
	}()
	p := u.inherited.old
	if p == nil || p.Plain() {
		return nil
	}
	u.note(control.StepSaidReady, os.Getpid())
	if err := p.Say(wire.Ready, wire.ReadyMsg{
		Room: u.makeRoom(), Probation: true, Stderr: true, Entrusts: true, StopMillis: u.cfg.stopTime().Milliseconds(),
		Unclaimed: unclaimed, Version: u.cfg.version, Tickets: u.cfg.tickets, Counts: true, Takes: u.takes(),
	}); peer.HungUp(err) {
		u.log.Debug("the old process can't be told that this one is ready", "old_pid", p.PID(), "error", err)
	} else if err != nil {
		p.HangUp() // it is there, and serves
		return wrap("ready", fmt.Errorf("the old process (pid %d) can't be told: %w", p.PID(), err))
	}
	why := u.awaitAnswer(p)
	// More than one may hold: an old process with nothing to drain is gone right
	// after its word.
	switch {
	case u.phase.life.Err() != nil:
		return ErrStopped
	case isClosed(p.Committed):
		req.event, req.again, req.probation, req.drain = handover.CommitForGood, p.Commit.Again, p.Commit.Probation(), p.Commit.Drain()
		if req.probation > 0 {
			req.event = handover.Commit
		}
		return nil
	case isClosed(p.Aborted):
		return because(ErrAborted, errors.New(p.Reason))
	case isClosed(p.Disowned):
		return nil
	}
	u.log.Warn("the old process did not hand over; this one takes over", "old_pid", p.PID(), "why", why)
	return nil
}

// awaitAnswer waits for what the old process says to ready, or until nothing is to be expected: why says why.
func (u *Upgrader) awaitAnswer(p *peer.Old) (why string) {
	t := time.NewTimer(timing.Word)
	defer t.Stop()
	for late := 0; ; late++ {
		select {
		case <-p.Committed:
		case <-p.Aborted:
		case <-p.Disowned:
		case <-u.phase.life.Done():
		case <-p.Gone:
			return "it is gone"
		case <-t.C:
			if late < mostLate && p.Unheard() { // this process may have stood still
				t.Reset(time.Second)
				continue
			}
			// Stopped or stuck. When it goes on it finds the word that this process
			// is ready, and hands over.
			return "it does not answer"
		}
		return ""
	}
}

// tellForeign tells an old process that is none of gracex's, in its own way, that this one serves.
func (u *Upgrader) tellForeign(p *peer.Old) {
	var err error
	switch {
	case p.Ways.Tell != nil:
		err = p.Ways.Tell()
	case p.Ways.Obeys:
		err = p.Signal(syscall.SIGTERM)
	}
	switch {
	case errors.Is(err, proc.ErrNotShown):
		u.log.Error("the old process can't be told that this one serves", "error", err)
	case err != nil:
		u.log.Warn("the old process was gone already", "old_pid", p.PID(), "error", err)
	}
}

// dismissOld sees to it that the old process goes.
func (u *Upgrader) dismissOld(p *peer.Old, limit time.Duration) {
	if p.Plain() {
		u.tellForeign(p)
	}
	u.seeOff(p, limit)
	go func() {
		defer close(u.seenOff)
		select {
		case <-p.Drained: // what is left of it is its main
		case <-p.Gone:
		case <-p.Aborted: // it serves again
		case <-u.phase.done:
		}
	}()
}

// seeOff ends a process before this one that does not go. One that supervises this one stays: the service ends with
// it.
func (u *Upgrader) seeOff(p *peer.Old, limit time.Duration) {
	if !p.Supervises() {
		settle := func() { _ = u.request(func(*lifecycle) error { return nil }) }
		go p.SeeOff(limit, u.phase.done, settle, u.log)
	}
}

package core

import (
	"cmp"
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// upgrade starts an attempt, or refuses. A signal, whose sender can't be told
// anything, is remembered once while an attempt runs.
func (l *lifecycle) upgrade(req upgradeRequest) {
	var err error
	switch l.State() {
	case StateCurrent:
		if l.probation == nil {
			l.setState(StateUpgrading)
			l.manager.reloads(l.generation)
			l.asker = req.reply
			l.attempt = l.begin(req)
			return
		}
		if req.reply == nil {
			// After a rollback it is the old process that has to do it.
			_ = l.inherited.parent.say(wire.Again, nil)
			l.remember()
			return
		}
		err = ErrInProgress
	case StateUpgrading, StateProbation:
		if req.reply == nil {
			l.remember()
			return
		}
		err = ErrInProgress
	case StateStarting:
		err = ErrNotReady
	default:
		err = ErrStopped
	}
	if req.reply != nil {
		req.reply <- upgradeReply{err: err}
		return
	}
	args := []any{"error", err, "state", l.State().String()}
	if l.next != nil {
		args = append(args, "current_pid", l.next.pid())
	}
	l.log.Warn("upgrade refused", args...)
}

func (l *lifecycle) attemptEnded(res attemptResult) {
	a, asker := l.attempt, l.asker
	l.attempt, l.asker = nil, nil
	a.cancel(nil)
	err, gone := res.err, res.next
	if err == nil {
		err, gone = l.admit(res.next), nil
	}
	if err == nil {
		l.taken = newNotifierAt(a.service, l.log)
		l.handOver(a, res.next, asker)
		if l.heldStop && l.trial != nil {
			l.stopNow(stopRequest{})
		}
	} else {
		l.upgradeFailed(err, gone)
		if l.heldStop {
			l.stopNow(stopRequest{})
		}
		if asker != nil {
			asker <- upgradeReply{err: err} // last: who asked finds the new state
		}
	}
	l.heldStop, l.doubt = false, nil
}

// admit reports why a new process that said ready can't take over after all: a stop
// came first, which is for the service, or the process is no more.
func (l *lifecycle) admit(next *successor) error {
	err := ErrStopped
	if l.State() == StateUpgrading {
		if !next.vanished() {
			return nil
		}
		err = &StartError{Path: next.path, PID: next.pid(), Reason: "it was ready, and then was not there", Err: errHungUp}
	}
	l.recalls++
	go func() {
		next.abort(err.Error(), l.cfg.stopTime())
		next.release()
		l.sendBack(next)
	}()
	return err
}

// handOver leaves the service to next, on probation or for good. The listeners are
// closed before it is told: once it says that it is current, it alone accepts.
func (l *lifecycle) handOver(a *attempt, next *successor, asker chan upgradeReply) {
	r := Result{PID: next.pid(), Generation: l.generation + 1, Took: time.Since(a.began), Plain: next.plain, Version: next.version}
	l.note(control.StepReady, next.pid())
	if l.cfg.probation > 0 && next.tries {
		l.beginTrial(a, next, asker, r)
		return
	}
	l.next = next
	m := l.prepareMove(next, 1, true) // before anybody is told to reconnect
	l.beginDrain(StateDraining)
	if next.plain && l.cfg.pidFile != "" {
		// It does not know the file; a supervisor reads it all the same. Before the
		// next word: a generation after it, which waits for that, may know the file.
		pid := next.pid()
		if boot.link != nil {
			pid = servicePID()
		}
		if err := pidfile.Write(l.cfg.pidFile, pid); err != nil {
			l.log.Error("the pid file still names this process", "error", err)
		}
	}
	if next.plain {
		l.socket.unlink() // it will not answer there
		next.stderr.relay()
	}
	l.handsOver(next, r)
	l.tell(next, m, wire.CommitMsg{DrainMillis: l.cfg.drainTimeout.Milliseconds(), Again: l.pending})
	l.upgraded(r, asker)
}

// handsOver tells the service manager that the service is next's.
func (l *lifecycle) handsOver(next *successor, r Result) {
	cmp.Or(l.manager, l.taken).handsOver(next.serves(), r.Generation, l.elders()+1)
}

// tell tells next that it is current, and lets connections move to it.
func (l *lifecycle) tell(next *successor, m *mover, msg wire.CommitMsg) {
	if err := next.commit(msg); err != nil {
		l.log.Warn("the new process was not told that it is current", "error", err)
	}
	if !next.plain {
		next.talk.answer = func(f wire.Frame) { l.report(next, f) }
		go next.talk.listen(next.ctl)
	}
	if m != nil {
		m.start()
	}
}

// upgraded is the good end of an upgrade.
func (l *lifecycle) upgraded(r Result, asker chan upgradeReply) {
	l.aged()
	l.log.Info("upgraded", "new_pid", r.PID, "took", r.Took, "plain", r.Plain)
	if asker != nil {
		asker <- upgradeReply{result: r}
	}
}

// prepareMove makes the mover, if connections can move to next.
func (l *lifecycle) prepareMove(next *successor, share float64, final bool) *mover {
	if !l.cfg.handoff {
		return nil
	}
	m := newMover(next, l.conns, share, final, l.log)
	if m != nil {
		l.conns.mover.Store(m)
	}
	return m
}

// upgradeFailed goes back to serving, as if nothing had been tried. The new process, if
// there was one that has ended, is gone.
func (l *lifecycle) upgradeFailed(err error, gone *successor) {
	if errors.Is(err, errTermWasAStop) {
		l.stopSignal(syscall.SIGTERM)
	}
	if l.State() != StateUpgrading {
		l.log.Info("upgrade given up: this process stops", "error", err)
		return
	}
	l.setState(StateCurrent)
	l.manager.failed(l.generation, l.elders(), "the last upgrade failed", err)
	l.log.Error("upgrade failed; this process serves on", logFailed(err)...)
	if gone != nil {
		l.restorePIDFile(gone)
	}
	l.upgradeAgain()
}

// remember notes that one upgrade more is to follow the one that is in progress.
func (l *lifecycle) remember() {
	if !l.pending {
		l.pending = true
		l.note(control.StepQueued, 0)
		l.log.Info("an upgrade is in progress: one more follows it")
	}
}

// upgradeAgain does the one upgrade more that was asked for during another one.
func (l *lifecycle) upgradeAgain() {
	if l.pending {
		l.pending = false
		l.log.Info("an upgrade was asked for during the last one")
		l.upgrade(upgradeRequest{ctx: context.Background()})
	}
}

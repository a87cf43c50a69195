package core

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
)

// upgrade starts an attempt, or refuses. A signal, whose sender can't be told
// anything, is remembered once while an attempt runs.
func (l *lifecycle) upgrade(req upgradeRequest) {
	var err error
	switch l.state() {
	case StateCurrent:
		switch {
		case req.reply != nil && !l.incoming.isOver():
			err = ErrInProgress
		case l.stepIncoming(handover.Upgrade):
			if err = l.embed(); err == nil {
				l.begin(req)
				return
			}
		default: // it is remembered: after a rollback it is the old process that has to do it
			return
		}
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
	if !req.change.check {
		l.u.refused(err)
	}
	if req.reply != nil {
		req.reply <- upgradeReply{err: err}
		return
	}
	args := []any{"error", err, "state", l.state().String()}
	if l.u.next != nil {
		args = append(args, "current_pid", l.u.next.PID())
	}
	l.log.Warn("upgrade refused", args...)
}

// checkInCharge returns an error if another process has the service, or gets it back because this one has asked it to.
func (l *lifecycle) checkInCharge() error {
	m := l.incoming.machine
	if l.state() == StateDraining || m.Phase == handover.NewProbation && m.Rejected {
		return ErrStopped
	}
	return nil
}

// upgradeFailed goes back to serving, as if nothing had been tried. The new process, if there was one, has ended.
func (l *lifecycle) upgradeFailed(h *outgoing) {
	err := h.err
	if errors.Is(err, errTermWasAStop) {
		l.stopSignal(syscall.SIGTERM)
	}
	if l.state() != StateUpgrading {
		l.log.Info("upgrade given up: this process stops", "error", err)
		return
	}
	what := "upgrade"
	if h.change.check {
		what = "check"
	}
	l.servesOn(h.next, "the last "+what+" "+news("failed", err))
	l.log.Error(what+" failed; this process serves on", l.u.logFailed(err)...)
	l.upgradeAgain()
}

// servesOn makes this process current again. The news are for the service manager. gone is the new process, if there was
// one.
func (l *lifecycle) servesOn(gone *peer.Next, news string) {
	l.setState(StateCurrent)
	l.manager.ServesOn(os.Getpid(), l.u.generation, len(l.u.olderGenerations()), news)
	if gone != nil {
		l.restorePIDFile(gone)
	}
}

// remember notes that one upgrade more is to follow the one that is in progress.
func (l *lifecycle) remember() {
	if !l.pending {
		l.pending = true
		l.u.note(control.StepQueued, 0)
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

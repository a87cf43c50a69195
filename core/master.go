package core

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// errMastered: a foreign master starts the next version. One that this process started would
// serve beside it.
func errMastered(m *foreign.Master) error {
	return fmt.Errorf("%w: %s (pid %d) starts the new versions: %s; or leave it (gracex upgrade --leave)", ErrUnsupported, m.Name, m.PID, m.Remedy)
}

// announced is set when the master knows.
var announced atomic.Bool

// announce tells a foreign master, and the worker before this one, that this one serves. It does
// nothing the second time: that worker would take another signal for impatience.
func (u *Upgrader) announce(m *foreign.Master) {
	if announced.Swap(true) {
		return
	}
	u.log.Info("a worker of a foreign master", "master", m.Name, "master_pid", m.PID, "old_pid", m.OldWorker)
	if m.Ready != nil {
		if err := m.Ready(); err != nil {
			u.log.Error("the master can't be told that this process serves", "master", m.Name, "error", err)
		}
	}
	if m.OldWorker == 0 {
		return
	}
	switch err := tellOldWorker(m.OldWorker); {
	case errors.Is(err, proc.ErrNotShown):
		u.log.Error("the old worker can't be told that this one serves", "old_pid", m.OldWorker, "error", err)
	case err != nil:
		u.log.Warn("the old worker was gone already", "old_pid", m.OldWorker, "error", err)
	}
}

// tellOldWorker sends SIGTERM to a process that the same parent has started, and that runs this program.
func tellOldWorker(pid int) error {
	// The handle first, then the check: see Old.Signal in package peer.
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	parent, known := proc.Parent(pid)
	switch {
	case !proc.ShowsPrograms:
	case !known:
		return os.ErrProcessDone
	case parent != proc.StartedBy || !proc.RunsThisProgram(pid):
		return proc.NotShown(pid, "is no worker of the same master with this program")
	}
	return p.Signal(syscall.SIGTERM)
}

// watchMaster stops this process when the master that it must not outlive is gone.
func (u *Upgrader) watchMaster(m *foreign.Master) {
	_, _ = m.Process()
	t := time.NewTicker(timing.MasterPoll)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-u.phase.done:
			return
		}
		if masterGone(m) {
			u.log.Error("the master is gone; this process stops", "master", m.Name, "master_pid", m.PID)
			u.requestStop(stopRequest{})
			return
		}
	}
}

// masterGone reports whether the master has ended.
func masterGone(m *foreign.Master) bool {
	if m.PID == proc.StartedBy {
		return os.Getppid() != proc.StartedBy
	}
	p, err := m.Process() // there is another one between the two
	if err == nil {
		err = p.Signal(syscall.Signal(0))
	}
	return errors.Is(err, os.ErrProcessDone)
}

// ofMaster reports whether the service is a foreign master's: until this process has left it, and
// where the end of the master is a stop, until this process has heard of that.
func (u *Upgrader) ofMaster() bool {
	m := u.boot.master()
	return m != nil && (m.Leads || !masterGone(m))
}

// superseded reports whether a stop signal means that the master has started the next worker: then it is
// no end of the service, and clients that keep a connection have time to hear of it.
func superseded(m *foreign.Master) bool {
	return m != nil && m.Retire == nil && proc.HasYoungerSibling()
}

// retire makes room for the next worker of a foreign master. It is a stop with a next process.
func (l *lifecycle) retire(m *foreign.Master) {
	switch st := l.state(); {
	case l.hands(handover.OldDraining):
		l.stepOutgoing(l.outgoing, handover.Stop) // the next worker serves, whatever becomes of who has left
		return
	case st >= StateDraining && l.stopping.delay == nil:
		return
	case st < StateCurrent:
		l.stopNow(stopRequest{})
		return
	}
	l.log.Info("the master has asked this process to make room", "master", m.Name)
	switch {
	case l.hands(handover.OldProbation):
		l.outgoing.err = errMasterFirst
		l.stepOutgoing(l.outgoing, handover.Canceled)
	case l.hands(handover.OldAsked):
		l.stepOutgoing(l.outgoing, handover.Stop) // it has the service, and answers in a moment
		return
	case l.starting() != nil:
		l.starting().cancel(ErrStopped)
	}
	l.beginDrain(StateDraining)
	if m.Released == nil {
		return
	}
	if err := m.Released(); err != nil {
		l.log.Error("the master can't be told that the listeners are closed", "master", m.Name, "error", err)
	}
}

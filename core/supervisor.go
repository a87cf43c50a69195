package core

import (
	"os"
	"slices"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// asked does what a signal to the supervisor means. One that is for the service is not this
// process's if another one has taken over: the supervisor did not know yet.
func (l *lifecycle) asked(msg wire.SignalMsg) {
	sig, s := syscall.Signal(msg.Signal), l.cfg.signals
	upgrade, stop, reopen := slices.Contains(s.Upgrade, os.Signal(sig)), slices.Contains(s.Stop, os.Signal(sig)), slices.Contains(s.Reopen, os.Signal(sig))
	drains := l.state() == StateDraining
	others := drains || (stop || reopen) && l.hands(handover.OldProbation, handover.OldAsked) // which would go on
	heard := wire.HeardMsg{ID: msg.ID, Taken: !others || msg.All}
	if stop && heard.Taken {
		l.stopping.unheard = sig
	}
	switch {
	case !upgrade && !stop && !reopen:
		heard.Unknown = true
	case stop && msg.All && drains:
		l.u.cutShort("a second stop was asked for")
	case heard.Taken && stop && l.stops.repeated(l.u.link(), true):
	case heard.Taken || reopen && !drains: // both may serve
		l.around(sig) // and never a plain program's "ready"
	}
	_ = l.u.link().Say(wire.Heard, heard, nil)
}

// askedBySupervisor takes a signal that the supervisor passes on. It reports false after the end of the lifecycle.
func (u *Upgrader) askedBySupervisor(msg wire.SignalMsg) bool {
	return u.request(func(l *lifecycle) error { l.asked(msg); return nil }) == nil
}

// othersReturned has the lifecycle look at the background work of other workers anew.
func (u *Upgrader) othersReturned() { u.post(func(*lifecycle) {}) }

// watchSupervisor ends this process when the supervisor is gone: nobody would know of
// it, and the next supervisor's worker could not listen on its addresses.
func (u *Upgrader) watchSupervisor() {
	select {
	case <-u.link().Gone:
		u.log.Error("the supervisor is gone; this process stops", "supervisor", u.link().PID())
		u.ending.Do(func() { go u.endMain() })
		u.post(func(l *lifecycle) {
			l.stopping.unheard = syscall.SIGTERM
			l.stop(stopRequest{})
		})
	case <-u.phase.done:
	}
}

// keepListeners gives the supervisor the listeners of this generation if it accepts
// from them.
func (u *Upgrader) keepListeners() {
	if u.link() == nil {
		return
	}
	u.keeping.Lock() // what is given last has to be what there is
	defer u.keeping.Unlock()
	if st := u.State(); st < StateCurrent || st > StateProbation {
		return
	}
	if err := u.giveToSupervisor(); err != nil {
		u.log.Error("the supervisor was not given the listeners: after a crash they would be opened anew", "error", err)
	}
}

func (u *Upgrader) giveToSupervisor() error {
	passed, files, err := u.passing.passOn()
	if err != nil {
		return err
	}
	defer fd.CloseAll(files)
	return u.link().Keep(descriptions(passed), files)
}

// stopCount counts the stop signals of a worker by the way in which they came. A terminal, and an operator who ends
// a process group, send one to the supervisor, which passes it on, and to this process.
type stopCount struct{ direct, linked int }

// repeated counts one more, and reports whether it has come in the other way already. Those of a worker in another
// process group than the supervisor's have not.
func (c *stopCount) repeated(link *peer.Link, linked bool) bool {
	if link == nil || !sameGroup(link.PID()) {
		return false
	}
	before := max(c.direct, c.linked)
	if linked {
		c.linked++
	} else {
		c.direct++
	}
	return max(c.direct, c.linked) == before
}

// tellLaunch tells the supervisor how this process was started, which serves for good, or again: so is the next
// worker then.
func (u *Upgrader) tellLaunch() {
	if err := u.link().Launch(u.launch().Tell()); err != nil {
		u.log.Error("the supervisor was not told how this process was started: after a crash the next one is started as the one before this", "error", err)
	}
}

// servicePID is the process number that the service is known by.
func (u *Upgrader) servicePID() int {
	if pid := u.link().PID(); pid != 0 {
		return pid
	}
	return os.Getpid()
}

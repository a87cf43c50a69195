package core

import (
	"os"
	"slices"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/handover"
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
	switch {
	case !upgrade && !stop && !reopen:
		heard.Unknown = true
	case heard.Taken || reopen && !drains: // both may serve
		l.around(sig) // and never a plain program's "ready"
	}
	_ = l.u.boot.link.Say(wire.Heard, heard, nil)
}

// watchSupervisor stops this process when the supervisor is gone: nobody would know of
// it, and the next supervisor's worker could not listen on its addresses.
func (u *Upgrader) watchSupervisor() {
	u.boot.link.Follow(func(msg wire.SignalMsg) bool {
		return u.request(func(l *lifecycle) error { l.asked(msg); return nil }) == nil
	})
	select {
	case <-u.boot.link.Gone:
		u.log.Error("the supervisor is gone; this process stops", "supervisor", u.boot.link.PID())
		u.requestStop(stopRequest{})
	case <-u.phase.done:
	}
}

// keepListeners gives the supervisor the listeners of this generation if it accepts
// from them.
func (u *Upgrader) keepListeners() {
	if u.boot.link == nil {
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
	defer func() {
		for _, s := range files {
			_ = fd.Close(s)
		}
	}()
	return u.boot.link.Keep(descriptions(passed), files)
}

// servicePID is the process number that the service is known by.
func (u *Upgrader) servicePID() int {
	if pid := u.boot.link.PID(); pid != 0 {
		return pid
	}
	return os.Getpid()
}

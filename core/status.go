package core

import (
	"os"

	"github.com/gracex-go/gracex/core/control"
)

// ProcessStatus describes this process. It is a snapshot.
type ProcessStatus struct {
	State      State
	Mode       Mode
	Generation int // see the function Generation
	Ledger     Ledger
	Listeners  []ListenerStatus // on which this process listens

	// LastUpgrade is the last upgrade that this process knows of: the one that has started it, or one
	// that it has begun later, also if that has failed. Nil means that it knows of none. A worker that a
	// supervisor has started after a crash knows of none.
	LastUpgrade *control.LastUpgrade
}

// Status describes this process. Before an Upgrader is made it returns StateNone, the mode, and a
// ledger with nothing but the process number. Any goroutine may call it at any time. It counts
// the open connections and looks for listeners, so call it now and then and not in every request.
func Status() ProcessStatus {
	if u := running.Load(); u != nil {
		return u.Status()
	}
	return ProcessStatus{Mode: modeOf(boot.link), Ledger: Ledger{PID: os.Getpid()}}
}

// Status is like the function Status, for this Upgrader.
func (u *Upgrader) Status() ProcessStatus {
	l := u.ledger()
	return ProcessStatus{
		State: l.State, Mode: modeOf(u.link()), Generation: l.Generation, Ledger: l,
		Listeners: u.listeners(), LastUpgrade: u.last.Load(),
	}
}

// State returns the state of this process. It is cheap enough to be called in every request.
func (u *Upgrader) State() State { return State(u.phase.state.Load()) }

// currentState is the state of this process, StateNone without an Upgrader.
func currentState() State {
	if u := running.Load(); u != nil {
		return u.State()
	}
	return StateNone
}

// Generation returns the number of this process in the app's line of processes, counted from 0.
// It equals the number of upgrades before this process. It returns 0 before an Upgrader is made.
func Generation() int {
	if u := running.Load(); u != nil {
		return u.generation
	}
	return 0
}

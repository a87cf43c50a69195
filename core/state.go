package core

// State is where a process stands in its life. The zero State means that there
// is no Upgrader in this process.
type State uint8

const (
	// StateNone: no Upgrader has been made. Next: StateStarting.
	StateNone State = iota
	// StateStarting: listeners may be opened, nothing is accepted yet.
	// Next: StateCurrent, StateStopping.
	StateStarting
	// StateCurrent: this process accepts and serves.
	// Next: StateUpgrading, StateStopping.
	StateCurrent
	// StateUpgrading: this process serves while the next generation starts.
	// Next: StateProbation when that one is ready, or StateDraining without a
	// probation, StateCurrent when it failed, StateStopping when a stop comes first.
	StateUpgrading
	// StateProbation: the next generation accepts; this one serves the connections that
	// it has, and accepts again if the next one turns out to be bad.
	// Next: StateDraining when the probation is over, StateCurrent after a rollback.
	StateProbation
	// StateDraining: another generation serves, the next one or after a rollback the
	// one before; this one finishes what is left.
	// Next: StateStopped.
	StateDraining
	// StateStopping: as StateDraining, with no next generation. In the pre-stop
	// delay, which comes first, it still accepts.
	// Next: StateStopped.
	StateStopping
	// StateStopped: the drain has ended; main should return.
	StateStopped
)

var stateNames = [...]string{"none", "starting", "current", "upgrading", "probation", "draining", "stopping", "stopped"}

// String returns the state as one lower-case word.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Serving reports whether a process in this state is one that a load balancer should
// send requests to: what a readiness endpoint answers.
func (s State) Serving() bool { return s >= StateCurrent && s <= StateProbation }

package core

import (
	"fmt"
	"slices"
	"strings"
)

// State is the phase of a process's life. The zero State means that this process has no Upgrader.
type State uint8

const (
	// StateNone means that no Upgrader has been made. StateStarting follows.
	StateNone State = iota
	// StateStarting means that listeners may be opened, but nothing is accepted yet. StateCurrent
	// or StateStopping follows.
	StateStarting
	// StateCurrent means that this process accepts and serves. StateUpgrading or StateStopping
	// follows.
	StateCurrent
	// StateUpgrading means that this process serves while the next generation starts. When that
	// generation is ready, StateProbation follows, or StateDraining without a probation.
	// StateCurrent follows if it failed, and StateStopping if a stop comes first.
	StateUpgrading
	// StateProbation means that the next generation accepts. This one serves the connections that
	// it has, and accepts again if the next one turns out to be bad. StateDraining follows when
	// the probation is over, and StateCurrent after a rollback.
	StateProbation
	// StateDraining means that another generation serves, and this one finishes its work. The
	// other one is the next generation, or the one before after a rollback. StateStopped follows,
	// or StateCurrent if the next generation ends meanwhile.
	StateDraining
	// StateStopping is like StateDraining without a next generation. During the pre-stop delay,
	// which comes first, the process still accepts. StateStopped follows.
	StateStopping
	// StateStopped means that the drain has ended and main should return.
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

// MarshalText returns the name that String returns.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes. Another name is an error.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("%s%q is no state; the states are %s", prefix, text, strings.Join(stateNames[:], ", "))
	}
	*s = State(i)
	return nil
}

// Serving reports whether a load balancer should send requests to a process in this state. A
// readiness endpoint answers with it.
func (s State) Serving() bool { return s >= StateCurrent && s <= StateProbation }

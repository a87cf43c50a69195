package core

import "testing"

func TestStateNames(t *testing.T) {
	t.Parallel()
	for s := StateNone; s <= StateStopped; s++ {
		if s.String() == "unknown" {
			t.Errorf("state %d has no name", s)
		}
		if want := s == StateCurrent || s == StateUpgrading || s == StateProbation; s.Serving() != want {
			t.Errorf("%v.Serving() = %v", s, !want)
		}
	}
	if State(99).String() != "unknown" {
		t.Error("state 99 has a name")
	}
}

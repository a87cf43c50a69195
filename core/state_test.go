package core_test

import (
	"testing"

	"github.com/gracex-go/gracex/core"
)

func TestStateNames(t *testing.T) {
	t.Parallel()
	for s := core.StateNone; s <= core.StateStopped; s++ {
		if s.String() == "unknown" {
			t.Errorf("state %d has no name", s)
		}
		if want := s == core.StateCurrent || s == core.StateUpgrading || s == core.StateProbation; s.Serving() != want {
			t.Errorf("%v.Serving() = %v", s, !want)
		}
	}
	if core.State(99).String() != "unknown" {
		t.Error("state 99 has a name")
	}
}

package core_test

import (
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core"
)

func TestState_EachHasANameAndThreeServe(t *testing.T) {
	t.Parallel()
	serve := []core.State{core.StateCurrent, core.StateUpgrading, core.StateProbation}
	for s := core.StateNone; s <= core.StateStopped; s++ {
		if want := slices.Contains(serve, s); s.String() == "unknown" || s.Serving() != want {
			t.Errorf("state %d is %v, Serving() = %v", s, s, !want)
		}
	}
	if name := core.State(99).String(); name != "unknown" {
		t.Errorf("state 99 is %s", name)
	}
}

package core

import (
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// TestStatus_DrainHasADeadlineFromTheFirstMoment in which the status says that this process stops.
func TestStatus_DrainHasADeadlineFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.ListenTest(t)
	must(t, u.Ready())
	u.servers.mu.Lock() // holds up the beginning of the drain
	defer u.servers.mu.Unlock()
	u.requestStop(stopRequest{})
	proctest.Await(t, "the stop", func() bool { return u.State() == StateStopping })
	if u.phase.deadline.Load() == 0 {
		t.Error("this process stops, and has no deadline yet")
	}
}

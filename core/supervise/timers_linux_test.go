package supervise

import (
	"io"
	"runtime/pprof"
	"testing"
)

// TestStopTimers_StopsTheOneOfAProfile and starts it again.
func TestStopTimers_StopsTheOneOfAProfile(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip(err)
	}
	defer pprof.StopCPUProfile()
	start := StopTimers()
	if left := setTimer(timerProf, itimerval{}); left != (itimerval{}) {
		t.Errorf("it is set to %v", left)
	}
	start()
	if setTimer(timerProf, itimerval{}) == (itimerval{}) {
		t.Error("it is not started again")
	}
}

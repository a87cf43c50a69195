package core

import (
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

func TestOptions_ZeroIsNone(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, -time.Second} {
		c := newConfig([]Option{
			WithDrainTimeout(d), WithReadyTimeout(d), WithMaxDraining(int(d)),
			WithPreStopDelay(d), WithProbation(d), WithProbationShare(float64(d)),
		})
		if c.drainTimeout != timing.Unlimited || c.readyTimeout != timing.Unlimited || c.maxDraining > 0 {
			t.Errorf("%v limits: drain %v, ready %v, %d generations", d, c.drainTimeout, c.readyTimeout, c.maxDraining)
		}
		if c.preStopDelay != 0 || c.probation != 0 || c.share != 0 {
			t.Errorf("%v is a delay of %v, a probation of %v with a share of %v", d, c.preStopDelay, c.probation, c.share)
		}
	}
}

func TestOptions_LeftOutIsTheDefault(t *testing.T) {
	t.Parallel()
	c := newConfig(nil)
	if c.drainTimeout != DefaultDrainTimeout || c.readyTimeout != DefaultReadyTimeout || c.maxDraining != DefaultMaxDraining ||
		c.preStopDelay != 0 || c.probation != DefaultProbation || c.share != DefaultProbationShare {
		t.Errorf("%+v", c)
	}
}

// TestOptions_LongestTimesCanBeAdded: a program may say forever by the longest Duration.
func TestOptions_LongestTimesCanBeAdded(t *testing.T) {
	t.Parallel()
	const forever = time.Duration(1<<63 - 1)
	c := newConfig([]Option{WithPreStopDelay(forever), WithDrainTimeout(forever)})
	if got := c.stopTime(); got != forever {
		t.Errorf("a stop takes %v at the most", got)
	}
}

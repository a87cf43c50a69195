package handover

import "testing"

// coverage is what was decided on and carried out, a bit each.
type coverage struct{ oldEvents, newEvents, oldEffects, newEffects uint32 }

func (c *coverage) merge(from *coverage) {
	c.oldEvents |= from.oldEvents
	c.newEvents |= from.newEvents
	c.oldEffects |= from.oldEffects
	c.newEffects |= from.newEffects
}

// check fails for what was never reached: then the tables have something that is of no use, or
// the model lacks what it is for.
func (c *coverage) check(t *testing.T) {
	t.Helper()
	for _, x := range []struct {
		what string
		seen uint32
		last uint8
	}{
		{"OldEvent", c.oldEvents, uint8(Gone)},
		{"NewEvent", c.newEvents, uint8(Upgrade)},
		{"OldEffect", c.oldEffects, uint8(StopService)},
		{"NewEffect", c.newEffects, uint8(StartNext)},
	} {
		for i := range x.last + 1 {
			if x.seen&(1<<i) == 0 {
				t.Errorf("no search has reached %s(%d)", x.what, i)
			}
		}
	}
}

package handover

import "testing"

// coverage is what was decided on and carried out.
type coverage struct {
	oldEvents  [Gone + 1]bool
	newEvents  [Upgrade + 1]bool
	oldEffects [StopService + 1]bool
	newEffects [StartNext + 1]bool
}

func merge(to, from []bool) {
	for i := range from {
		to[i] = to[i] || from[i]
	}
}

func (c *coverage) merge(from *coverage) {
	merge(c.oldEvents[:], from.oldEvents[:])
	merge(c.newEvents[:], from.newEvents[:])
	merge(c.oldEffects[:], from.oldEffects[:])
	merge(c.newEffects[:], from.newEffects[:])
}

// check fails for what was never reached: then the tables have something that is of no use, or
// the model lacks what it is for.
func (c *coverage) check(t *testing.T) {
	t.Helper()
	for _, x := range []struct {
		what string
		seen []bool
	}{
		{"OldEvent", c.oldEvents[:]},
		{"NewEvent", c.newEvents[:]},
		{"OldEffect", c.oldEffects[:]},
		{"NewEffect", c.newEffects[:]},
	} {
		for i, seen := range x.seen {
			if !seen {
				t.Errorf("no search has reached %s(%d)", x.what, i)
			}
		}
	}
}

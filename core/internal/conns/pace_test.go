package conns

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// TestPace_RestsOnlyBesideRequests: of this process, or of the other one.
func TestPace_RestsOnlyBesideRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		served := uint64(7)
		p := NewPace(func() uint64 { return served }, time.Now().Add(24*time.Hour))
		expect := func(what string, took time.Duration, left int, elsewhere bool, want time.Duration, batch int) {
			t.Helper()
			time.Sleep(time.Until(p.Due()))
			p.Worked(took, left, elsewhere)
			if got := time.Until(p.Due()); got != want || p.Batch() != batch || p.Rests() != (want > 0) {
				t.Errorf("%s: it rests %v, and takes %d next; want %v and %d", what, got, p.Batch(), want, batch)
			}
		}
		if p.Batch() != Gentle {
			t.Error("it does not begin gently")
		}
		const took = time.Millisecond
		expect("nobody is known to ask yet", took, 1000, false, rests*took, Gentle)
		time.Sleep(calm)
		expect("nobody asks", took, 1000, false, 0, fd.MaxFiles)
		served++
		expect("here", took, 1000, false, rests*took, Gentle)
		expect("in a burst", took, 1000, false, rests*took, Gentle)
		expect("not any more", took, 1000, false, 0, fd.MaxFiles)
		expect("elsewhere", took, 1000, true, rests*took, Gentle)
		expect("nothing is left", took, 0, true, 0, Gentle)
	})
}

// TestPace_IsDoneInTime: however long a batch takes, and however many connections there are.
func TestPace_IsDoneInTime(t *testing.T) {
	t.Parallel()
	for _, took := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const conns, within = 20_000, 10 * time.Second
			began := time.Now()
			p := NewPace(func() uint64 { return 0 }, began.Add(within))
			for left := conns; left > 0; {
				left -= min(left, p.Batch())
				time.Sleep(took) // the work
				p.Worked(took, left, true)
				time.Sleep(time.Until(p.Due()))
			}
			if d := time.Since(began); d > within+took {
				t.Errorf("with %v for a batch it takes %v, want %v at most", took, d, within)
			}
		})
	}
}

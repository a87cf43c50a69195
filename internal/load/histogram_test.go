package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsAreInOrderAndHoldTheirOwn(t *testing.T) {
	t.Parallel()
	for i := range buckets {
		end := bucketEnd(i)
		if got := bucketOf(end - 1); got != i {
			t.Fatalf("%v is in bucket %d, want %d", end-1, got, i)
		}
		if got := bucketOf(end); got != min(i+1, buckets-1) {
			t.Fatalf("%v is in bucket %d, want %d", end, got, i+1)
		}
	}
	if end := bucketEnd(buckets - 1); end < 30*time.Minute {
		t.Errorf("last bucket ends at %v", end)
	}
	if bucketOf(-time.Second) != 0 || bucketOf(1000*time.Hour) != buckets-1 {
		t.Error("what is outside is not counted at the ends")
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Max() != 0 {
		t.Error("empty histogram has a quantile")
	}
	var all []time.Duration
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(3*time.Millisecond))
		all = append(all, d)
		h.Add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*10_000), 1)-1]
		got := h.Quantile(q)
		if got < want || got > want+want/subBuckets+time.Microsecond {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	var few Histogram
	for i := range 51 {
		few.Add(time.Duration(i) * time.Microsecond)
	}
	// 50 of 51 are less than 99 %, so the 51st is needed.
	if got := few.Quantile(0.99); got != 50*time.Microsecond {
		t.Errorf("p99 of 0 to 50 µs is %v", got)
	}
	if h.Max() != all[len(all)-1] || h.Quantile(1) != h.Max() || h.Count() != 10_000 {
		t.Errorf("max %v, quantile 1 %v, count %d; want %v", h.Max(), h.Quantile(1), h.Count(), all[len(all)-1])
	}
}

func TestSinceAndMerge(t *testing.T) {
	t.Parallel()
	var h Histogram
	h.Add(time.Second)
	before := h
	for range 99 {
		h.Add(time.Millisecond)
	}
	h.Add(10 * time.Millisecond)
	window := h.Since(before)
	if window.Count() != 100 || window.Max() < 10*time.Millisecond || window.Max() > 11*time.Millisecond {
		t.Errorf("window has %d with a maximum of %v", window.Count(), window.Max())
	}
	if q := window.Quantile(0.99); q > 2*time.Millisecond {
		t.Errorf("p99 is %v, the earlier second is still in it", q)
	}
	if h.Count() != 101 || before.Count() != 1 || h.Max() != time.Second {
		t.Error("Since changed its operands")
	}
	before.Merge(window)
	if before.Count() != 101 || before.Max() != time.Second || before.Quantile(0.5) != h.Quantile(0.5) {
		t.Errorf("merged: %d, %v, %v", before.Count(), before.Max(), before.Quantile(0.5))
	}
	if empty := h.Since(h); empty.Count() != 0 || empty.Max() != 0 || empty.Quantile(0.99) != 0 {
		t.Errorf("nothing since: %d, %v", empty.Count(), empty.Max())
	}
}

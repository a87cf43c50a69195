package load

import (
	"math"
	"math/bits"
	"time"
)

// A histogram's buckets are log-linear: each power of two of microseconds is cut into subBuckets equal parts, so that a
// quantile is off by at most one part in subBuckets wherever it lies. Below subBuckets microseconds a bucket is one
// microsecond. The last bucket ends at 2^octaves µs, over half an hour.
const (
	subBits    = 4
	subBuckets = 1 << subBits
	octaves    = 31
	buckets    = (octaves - subBits + 1) * subBuckets
)

// Histogram counts durations by size. The zero value is empty; a copy is independent, which is how the time between two
// moments is looked at: take a [Result] at each and ask [Histogram.Since].
type Histogram struct {
	counts [buckets]uint32
	count  int
	max    time.Duration
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.count++
	h.max = max(h.max, d)
}

// Count is how many durations have been counted.
func (h Histogram) Count() int { return h.count }

// Max is the longest. After Since it is known only to the bucket, as quantiles are.
func (h Histogram) Max() time.Duration { return h.max }

// Quantile is the duration that a share q of the counted ones, 0 to 1, does not exceed. It is the upper end of the
// bucket, so it never flatters. Empty, it is 0.
func (h Histogram) Quantile(q float64) time.Duration {
	rank := int(math.Ceil(q*float64(h.count) - 1e-6)) // 0.07*100 is a little over 7
	rank = min(max(rank, 1), h.count)
	for i, n := range h.counts {
		if rank -= int(n); rank <= 0 && n > 0 {
			return min(bucketEnd(i), h.max)
		}
	}
	return 0
}

// Since is what has been counted after earlier, which must be a former copy of the same histogram.
func (h Histogram) Since(earlier Histogram) Histogram {
	h.count -= earlier.count
	top := time.Duration(0) // the end of the highest bucket that is left
	for i := range h.counts {
		if h.counts[i] -= earlier.counts[i]; h.counts[i] > 0 {
			top = bucketEnd(i)
		}
	}
	h.max = min(h.max, top)
	return h
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// bucketOf says which bucket counts d. What is longer than the last bucket is counted there.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < subBuckets {
		return int(us)
	}
	shift := bits.Len64(us) - 1 - subBits // the octave's part is 2^shift µs wide
	return min(shift*subBuckets+int(us>>shift), buckets-1)
}

// bucketEnd is the first duration beyond bucket i.
func bucketEnd(i int) time.Duration {
	if i < subBuckets {
		return time.Duration(i+1) * time.Microsecond
	}
	shift := i/subBuckets - 1
	return time.Duration(i%subBuckets+subBuckets+1) << shift * time.Microsecond
}

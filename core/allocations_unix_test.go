//go:build unix

package core_test

import (
	"io"
	"math"
	"net/http"
	"runtime"
	"testing"
)

// TestRequestAllocatesAsMuchAsWithNetHTTP: following a request allocates nothing. It is not parallel, because it counts
// what the whole process allocates.
func TestRequestAllocatesAsMuchAsWithNetHTTP(t *testing.T) {
	const conns, each, rounds, most = 4, 100, 10, 0.9 // one more would be 1; the race detector has some of its own
	ours, bare := serveBoth(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	least := func(addr string) float64 {
		asks := newAskers(t, addr, conns)
		defer asks.close()
		least := math.Inf(1)
		for range rounds {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			asks.ask(t, each, 1, "hello")
			runtime.ReadMemStats(&after)
			least = min(least, float64(after.Mallocs-before.Mallocs)/(conns*each))
		}
		return least
	}
	a, b := least(ours), least(bare)
	t.Logf("%.2f allocations, and %.2f with net/http alone", a, b)
	if a > b+most {
		t.Errorf("a request takes %.2f allocations, and %.2f with net/http alone", a, b)
	}
}

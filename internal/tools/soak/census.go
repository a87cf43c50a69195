package main

import (
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core"
)

// census is what a process holds.
type census struct {
	PID, Generation int
	Goroutines      int
	Descriptors     int    // all of them
	Connections     int    // that clients have
	Heap            uint64 // bytes in use after a collection
	RSS             uint64 // bytes; 0 where the system can't be asked this way
}

// own is how many descriptors are no client's. While connections come and go it is
// off by a few.
func (c census) own() int { return c.Descriptors - c.Connections }

// takeCensus answers with the census of this process.
func takeCensus(w http.ResponseWriter, _ *http.Request) {
	open := core.Stats().Open
	c := census{
		PID: os.Getpid(), Generation: core.Generation(), Goroutines: runtime.NumGoroutine(),
		Descriptors: countDescriptors(), Connections: open.Connections + open.Hijacked,
	}
	runtime.GC()         // what pools hold goes with the second one
	debug.FreeOSMemory() // which this is
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.Heap, c.RSS = m.HeapAlloc, resident()
	w.Header().Set("X-Generation", strconv.Itoa(c.Generation))
	_ = json.NewEncoder(w).Encode(c)
}

// countDescriptors includes the one that it takes to look.
func countDescriptors() int {
	names, _ := os.ReadDir("/dev/fd")
	return len(names)
}

// resident reads proc_pid_statm(5).
func resident() uint64 {
	b, _ := os.ReadFile("/proc/self/statm")
	if fields := strings.Fields(string(b)); len(fields) > 1 {
		pages, _ := strconv.ParseUint(fields[1], 10, 64)
		return pages * uint64(os.Getpagesize())
	}
	return 0
}

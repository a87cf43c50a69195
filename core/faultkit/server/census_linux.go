package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// takeCensus logs the census of this process.
func (s *server) takeCensus() {
	open, files := core.Status().Ledger.Open, openFiles()
	c := own.Census{
		Goroutines: runtime.NumGoroutine(), Descriptors: files, Connections: open.Connections + open.Hijacked,
	}
	runtime.GC()         // what pools hold goes with the second one
	debug.FreeOSMemory() // which this is
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.Heap, c.RSS = m.HeapAlloc, resident()
	s.log.Info(own.MsgCensus, "generation", core.Generation(), "census", c)
}

// openFiles includes the one that it takes to look.
func openFiles() int {
	names, _ := os.ReadDir("/proc/self/fd")
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

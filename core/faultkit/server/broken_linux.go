package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// How broken: as much as a short run needs to find it, and no more than a long one bears.
const (
	wrongEvery   = 500
	leakSize     = 64 << 10
	leakRequests = 512
)

// broken is what is wrong with this server, of own.Breaks.
type broken struct {
	names []string

	mu     sync.Mutex
	asked  int
	leaked [][]byte
}

func (b *broken) has(name string) bool { return slices.Contains(b.names, name) }

// request is called with each request. It reports whether the answer is to be wrong.
func (b *broken) request() (wrong bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.asked == 1 && b.has("goroutine") {
		go func() { select {} }()
	}
	if b.asked == 1 && b.has("descriptor") {
		_, _ = syscall.Dup(0) // every program inherits it that this process starts
	}
	if b.asked == 1 && b.has("count") {
		go intrude()
	}
	if b.has("memory") && len(b.leaked) < leakRequests {
		b.leaked = append(b.leaked, make([]byte, leakSize))
	}
	return b.asked%wrongEvery == 0 && b.has("answer")
}

// intrude sends the server a request that no client knows of.
func intrude() {
	c, err := net.Dial("unix", own.Socket)
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
}

// takeCensus logs what this process holds.
func (s *server) takeCensus() {
	open := core.Status().Ledger.Open
	files, _ := os.ReadDir("/proc/self/fd") // one of them is open to look
	c := own.Census{
		Goroutines: runtime.NumGoroutine(), Descriptors: len(files), Connections: open.Connections + open.Hijacked,
	}
	runtime.GC()         // what pools hold goes with the second one
	debug.FreeOSMemory() // which this is
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.Heap = int(m.HeapAlloc)
	statm, _ := os.ReadFile("/proc/self/statm") // proc_pid_statm(5): the size in pages, and how much of it is resident
	if fields := strings.Fields(string(statm)); len(fields) > 1 {
		pages, _ := strconv.Atoi(fields[1])
		c.RSS = pages * os.Getpagesize()
	}
	s.log.Info(own.MsgCensus, "generation", core.Generation(), "census", c)
}

package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// faultNames are the faults that a server can be given by -break, each for the
// check that has to find it.
var faultNames = []string{
	"reconnect",  // its connections do not move
	"answer",     // one answer in some hundreds is not the request's
	"echo",       // a hijacked connection gets a wrong byte when it moves
	"count",      // each generation answers a request that is no client's
	"log",        // each generation logs an error
	"goroutine",  // each generation that is asked leaks one
	"descriptor", // the same, and the next generation inherits it
	"memory",     // each request leaks some
}

// What a fault does: as much as a short run needs to find it, and no more than a
// long one bears.
const (
	wrongEvery   = 500
	leakSize     = 64 << 10
	leakRequests = 512
)

// faults are those that this server has.
type faults struct {
	names []string
	once  sync.Once // with a generation's first request

	mu     sync.Mutex
	asked  int
	leaked [][]byte
}

func newFaults(names string) *faults {
	return &faults{names: strings.Split(names, ",")}
}

func (f *faults) has(name string) bool { return slices.Contains(f.names, name) }

// request is called with each request. It reports whether the answer is to be wrong.
func (f *faults) request() (wrong bool) {
	f.once.Do(func() {
		if f.has("goroutine") {
			go func() { select {} }()
		}
		if f.has("descriptor") {
			leakDescriptor()
		}
		if f.has("count") {
			go intrude()
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.has("memory") && len(f.leaked) < leakRequests {
		f.leaked = append(f.leaked, make([]byte, leakSize))
	}
	return f.asked%wrongEvery == 0 && f.has("answer")
}

// intrude sends the server a request that no client knows of.
func intrude() {
	c, err := net.Dial("unix", socketName)
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	_, _ = io.Copy(io.Discard, c)
}

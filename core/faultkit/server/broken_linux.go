package main

import (
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// How broken: as much as a short run needs to find it, and no more than a long one
// bears.
const (
	wrongEvery   = 500
	leakSize     = 64 << 10
	leakRequests = 512
)

// broken is what is wrong with this server, of own.Breaks.
type broken struct {
	names []string
	once  sync.Once // with a generation's first request

	mu     sync.Mutex
	asked  int
	leaked [][]byte
}

func (b *broken) has(name string) bool { return slices.Contains(b.names, name) }

// request is called with each request. It reports whether the answer is to be wrong.
func (b *broken) request() (wrong bool) {
	b.once.Do(func() {
		if b.has("goroutine") {
			go func() { select {} }()
		}
		if b.has("descriptor") {
			_, _ = syscall.Dup(0) // every program inherits it that this process starts
		}
		if b.has("count") {
			go intrude()
		}
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
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

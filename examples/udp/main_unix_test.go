//go:build unix

package main

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/must"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// TestUpgrades: each of the numbered datagrams is answered once, while the server is upgraded.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	c := must.Get(net.Dial("udp", p.Addr))(t)
	defer c.Close()
	answered := map[int]int{}
	by := map[int]int{}
	next := 0
	// exchange sends some and reads the answers: as many as the socket's queue holds at any time.
	exchange := func() {
		t.Helper()
		const burst = 50
		for range burst {
			must.Get(c.Write([]byte(strconv.Itoa(next))))(t)
			next++
		}
		b := make([]byte, 100)
		for range burst {
			_ = c.SetReadDeadline(time.Now().Add(exampletest.Patience))
			n, err := c.Read(b)
			if err != nil {
				t.Fatalf("after %d answers to %d datagrams: %v", len(answered), next, err)
			}
			var generation, pid, number int
			if _, err := fmt.Sscan(string(b[:n]), &generation, &pid, &number); err != nil {
				t.Fatalf("%q: %v", b[:n], err)
			}
			answered[number]++
			by[generation]++
		}
	}
	until := time.Now().Add(exampletest.Patience)
	for generation := range 4 {
		old := p.PID()
		if generation > 0 {
			p.Signal(syscall.SIGUSR2)
		}
		// The upgrade goes on meanwhile. The pid file follows the first answers, and the next signal goes by it.
		for by[generation] == 0 || generation > 0 && p.PID() == old {
			if time.Now().After(until) {
				t.Fatalf("no generation %d; datagrams by generation: %v", generation, by)
			}
			exchange()
		}
	}
	for number, n := range answered {
		if n != 1 {
			t.Errorf("datagram %d has %d answers", number, n)
		}
	}
	if len(answered) != next {
		t.Errorf("%d datagrams, %d answered", next, len(answered))
	}
	t.Logf("%d datagrams, by generation %v", next, by)
	p.Stop()
}

//go:build unix

package main

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
)

const patience = exampletest.Patience

// How much the test does. docs/websockets.md has figures with more of it.
var (
	sockets  = flag.Int("ws.sockets", 10, "how many clients there are")
	upgrades = flag.Int("ws.upgrades", 4, "how many upgrades there are")
	rollback = flag.Int("ws.rollback", 3, "every which upgrade is rolled back; 0 is none")
	gap      = flag.Duration("ws.gap", 20*time.Millisecond, "how long a client waits between two messages")
	pause    = flag.Duration("ws.pause", 0, "how long to wait between two upgrades")
)

// TestSocketsStay: each client gets all that it has sent back, and the server's numbers, once and in order, over one
// connection, through upgrades and rollbacks.
func TestSocketsStay(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-probation", "300ms")
	paths := []string{"/gorilla", "/coder", "/gin", "/echo", "/chi"}
	var clients []*client
	for i := range *sockets {
		clients = append(clients, dial(t, p, paths[i%len(paths)], i))
	}
	quit := make(chan struct{})
	var talk sync.WaitGroup
	for _, c := range clients {
		talk.Go(func() {
			if err := c.talk(quit, *gap); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
		talk.Go(func() {
			if err := c.listen(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	var moves []time.Time
	for i := range *upgrades {
		old := p.PID()
		p.Upgrade(syscall.SIGUSR2)
		if *rollback > 0 && i%*rollback == *rollback-1 {
			bad := p.PID()
			p.Signal(syscall.SIGKILL)
			p.Await("the old process serves again", func() bool { return p.PID() == old && p.PID() != bad })
		} else {
			p.AwaitLog("generation ended", len(moves)+1)
			moves = append(moves, time.Now())
		}
		for _, c := range clients {
			goal := c.got.Load() + 2
			p.Await(c.name+" hears more", func() bool { return c.got.Load() >= goal || t.Failed() })
		}
		time.Sleep(*pause)
	}
	close(quit)
	talk.Wait()
	p.Stop()
	report(t, p, clients, moves)
}

func report(t *testing.T, p *exampletest.Program, clients []*client, moves []time.Time) {
	t.Helper()
	var all, around []time.Duration
	got := int64(0)
	for _, c := range clients {
		got += c.got.Load()
		for i, latency := range c.latencies {
			all = append(all, latency)
			if slices.ContainsFunc(moves, func(move time.Time) bool { return c.sent[i].Sub(move).Abs() < near }) {
				around = append(around, latency)
			}
		}
	}
	if n := p.Log.Count("level=ERROR msg=\"a WebSocket") + p.Log.Count("to reconnect\""); n > 0 {
		t.Errorf("the log has %d complaints", n)
	}
	t.Logf("%d clients, %d upgrades, %d of them moved: %d messages, %d of them echoes; %s; of the %d sent within %v of a move %s",
		len(clients), *upgrades, len(moves), got, len(all), quantiles(all), len(around), near, quantiles(around))
}

// near is how close to a move a message was sent that report counts apart.
const near = 250 * time.Millisecond

// quantiles puts the latencies of echoes into words.
func quantiles(latencies []time.Duration) string {
	if len(latencies) == 0 {
		return "none"
	}
	slices.Sort(latencies)
	at := func(share float64) time.Duration {
		return latencies[int(share*float64(len(latencies)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("median %v, p99 %v, p99.9 %v, most %v", at(0.5), at(0.99), at(0.999), at(1))
}

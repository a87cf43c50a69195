//go:build unix

package main

import (
	"crypto/tls"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/examples/internal/latency"
)

// crowd is a number of clients that go through upgrades together. Each has one connection, and never another.
type crowd interface {
	// least is how many messages the one has got that has got the fewest.
	least() int64
	// finish has each say its last, hear it, and close its connection.
	finish() counts
}

// counts are the messages that a crowd has got.
type counts struct{ Echoes, Numbers int }

// goCrowd is one of clients in this process.
type goCrowd struct {
	clients []*client
	quit    chan struct{}
	talk    sync.WaitGroup
}

func newGoCrowd(t *testing.T, p *exampletest.Program, secure *tls.Config, took *latency.Log, kindOf func(i int) kind) crowd {
	t.Helper()
	c := &goCrowd{quit: make(chan struct{})}
	for i := range *sockets {
		c.clients = append(c.clients, dial(t, p, secure, kindOf(i)))
	}
	for _, one := range c.clients {
		c.talk.Go(func() {
			if err := one.talk(c.quit, *gap); err != nil {
				t.Errorf("%+v: %v", one.kind, err)
			}
		})
		c.talk.Go(func() {
			if err := one.listen(took); err != nil {
				t.Errorf("%+v: %v", one.kind, err)
			}
		})
	}
	return c
}

func (c *goCrowd) least() int64 {
	least := c.clients[0].got.Load()
	for _, one := range c.clients {
		least = min(least, one.got.Load())
	}
	return least
}

func (c *goCrowd) finish() (sum counts) {
	close(c.quit)
	c.talk.Wait()
	for _, one := range c.clients {
		sum.Echoes += int(one.echoes.Load())
		sum.Numbers += one.numbers
	}
	return sum
}

// throughUpgrades has a crowd go through upgrades and rollbacks, and stops the program.
func throughUpgrades(t *testing.T, p *exampletest.Program, c crowd, took *latency.Log) {
	t.Helper()
	var moves []time.Time
	rolledBack := 0
	hearMore := func() {
		goal := c.least() + 4
		p.Await("each client hears more", func() bool { return c.least() >= goal || t.Failed() })
	}
	hearMore()
	for i := range *upgrades {
		old := p.PID()
		p.Upgrade(syscall.SIGUSR2)
		if *rollback > 0 && i%*rollback == *rollback-1 {
			bad := p.PID()
			p.Signal(syscall.SIGKILL)
			p.Await("the old process serves again", func() bool { return p.PID() == old && p.PID() != bad })
			rolledBack++
		} else {
			p.AwaitLog("generation ended", len(moves)+1)
			moves = append(moves, time.Now())
		}
		hearMore()
		if t.Failed() {
			break
		}
		time.Sleep(*pause)
	}
	got := c.finish()
	p.Stop()
	if n := p.Log.Count("level=ERROR msg=\"a WebSocket") + p.Log.Count("to reconnect\""); n > 0 {
		t.Errorf("the log has %d complaints", n)
	}
	t.Logf("%d clients, %d upgrades, %d of them rolled back: %d echoes, %d numbers; %s",
		*sockets, *upgrades, rolledBack, got.Echoes, got.Numbers, took.Report(moves))
}

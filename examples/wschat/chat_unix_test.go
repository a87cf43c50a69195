//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/examples/internal/latency"
	"github.com/gracex-go/gracex/internal/must"
)

const (
	patience = exampletest.Patience
	last     = "that is all"
)

// How much the test does. "make websockets" does more of it; docs/websockets.md has its figures.
var (
	talkers  = flag.Int("chat.talkers", 8, "how many members there are")
	upgrades = flag.Int("chat.upgrades", 5, "how many upgrades there are")
	gap      = flag.Duration("chat.gap", 5*time.Millisecond, "how long a member waits between two messages")
	pause    = flag.Duration("chat.pause", 0, "how long to wait between two upgrades")
	// Nothing but what is said is written, so the room comes to rest in time, however slow the machine is.
	settle = flag.Duration("chat.settle", time.Second, "how long what was said may take to reach all members")
)

// talker is a member that says numbers, over one connection.
type talker struct {
	*websocket.Conn
	nick  string
	heard map[string]int // how many numbers of each
	count atomic.Int64   // of all

	mu   sync.Mutex
	said []time.Time
}

func join(t *testing.T, p *exampletest.Program, nick string) *talker {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.DefaultDialer.DialContext(ctx, "ws://"+p.Addr+"/?nick="+nick, nil)
	must.Do(t, err)
	t.Cleanup(func() { c.Close() })
	m := &talker{Conn: c, nick: nick, heard: make(map[string]int)}
	if got, err := m.hear(); err != nil || got != "* "+nick+" has joined" {
		t.Fatalf("%s hears %q, %v", nick, got, err)
	}
	return m
}

func (m *talker) hear() (string, error) {
	m.SetReadDeadline(time.Now().Add(patience))
	_, b, err := m.ReadMessage()
	return string(b), err
}

func (m *talker) say(message string) error {
	return m.WriteMessage(websocket.TextMessage, []byte(message))
}

func (m *talker) talk(quit <-chan struct{}) error {
	tick := time.NewTicker(*gap)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-quit:
			return m.say(last + " " + strconv.Itoa(n))
		case <-tick.C:
			m.mu.Lock()
			m.said = append(m.said, time.Now())
			m.mu.Unlock()
			if err := m.say(strconv.Itoa(n)); err != nil {
				return err
			}
		}
	}
}

// saidAt is when the member has said its n-th number.
func (m *talker) saidAt(n int) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said[n]
}

// listen checks that each number of each talker comes once and in order, and that nobody joins or leaves, until all have
// said their last.
func (m *talker) listen(room map[string]*talker, took *latency.Log) error {
	for ended := 0; ended < len(room); m.count.Add(1) {
		message, err := m.hear()
		if err != nil {
			return err
		}
		nick, said, _ := strings.Cut(message, ": ")
		number, ends := strings.CutPrefix(said, last+" ")
		if number != strconv.Itoa(m.heard[nick]) {
			return fmt.Errorf("%q after %d of that one", message, m.heard[nick])
		}
		if ends {
			ended++
			continue
		}
		sent := room[nick].saidAt(m.heard[nick])
		took.Add(sent, time.Since(sent))
		m.heard[nick]++
	}
	return nil
}

// TestNobodyLeaves: everybody hears everything, once and in order, over the connection that they began with.
func TestNobodyLeaves(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-settle", settle.String())
	room := make(map[string]*talker)
	for i := range *talkers {
		m := join(t, p, "talker"+strconv.Itoa(i))
		for _, other := range room {
			if got, err := other.hear(); err != nil || got != "* "+m.nick+" has joined" {
				t.Fatalf("%s hears %q, %v", other.nick, got, err)
			}
		}
		room[m.nick] = m
	}
	quit, took := make(chan struct{}), &latency.Log{}
	var talk sync.WaitGroup
	for _, m := range room {
		talk.Go(func() {
			if err := m.talk(quit); err != nil {
				t.Errorf("%s: %v", m.nick, err)
			}
		})
		talk.Go(func() {
			if err := m.listen(room, took); err != nil {
				t.Errorf("%s: %v", m.nick, err)
			}
		})
	}
	var moves []time.Time
	for i := range *upgrades {
		p.Upgrade(syscall.SIGUSR2)
		p.AwaitLog("generation ended", i+1)
		moves = append(moves, time.Now())
		for _, m := range room {
			goal := m.count.Load() + int64(2*len(room))
			p.Await(m.nick+" hears more", func() bool { return m.count.Load() >= goal || t.Failed() })
		}
		time.Sleep(*pause)
	}
	close(quit)
	talk.Wait()
	if t.Failed() {
		return
	}
	heard := int64(0)
	for _, m := range room {
		heard += m.count.Load()
	}
	t.Logf("%d members have heard %d messages, through %d upgrades; %s", len(room), heard, *upgrades, took.Report(moves))

	// A stop says so.
	p.Signal(syscall.SIGTERM)
	for _, m := range room {
		var err error
		for err == nil {
			_, err = m.hear()
		}
		if !websocket.IsCloseError(err, websocket.CloseGoingAway) {
			t.Errorf("on the stop %s hears %v", m.nick, err)
		}
	}
	p.End()
}

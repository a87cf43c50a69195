//go:build unix

package main

import (
	"context"
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
	"github.com/gracex-go/gracex/internal/must"
)

const (
	patience = exampletest.Patience
	talkers  = 8
	upgrades = 5
	gap      = 5 * time.Millisecond // between two messages of a talker
	last     = "that is all"
)

// talker is a member that says numbers, over one connection.
type talker struct {
	*websocket.Conn
	nick  string
	heard map[string]int // how many numbers of each
	count atomic.Int64   // of all
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
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-quit:
			return m.say(last + " " + strconv.Itoa(n))
		case <-tick.C:
			if err := m.say(strconv.Itoa(n)); err != nil {
				return err
			}
		}
	}
}

// listen checks that each number of each talker comes once and in order, and that nobody joins or leaves, until all have
// said their last.
func (m *talker) listen() error {
	for ended := 0; ended < talkers; m.count.Add(1) {
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
		} else {
			m.heard[nick]++
		}
	}
	return nil
}

// TestNobodyLeaves: everybody hears everything, once and in order, over the connection that they began with.
func TestNobodyLeaves(t *testing.T) {
	t.Parallel()
	// Nothing but what is said is written, so the room comes to rest, however slow the machine is.
	p := exampletest.Start(t, "-settle", "1s")
	var room []*talker
	for i := range talkers {
		m := join(t, p, "talker"+strconv.Itoa(i))
		for _, other := range room {
			if got, err := other.hear(); err != nil || got != "* "+m.nick+" has joined" {
				t.Fatalf("%s hears %q, %v", other.nick, got, err)
			}
		}
		room = append(room, m)
	}
	quit := make(chan struct{})
	var talk sync.WaitGroup
	for _, m := range room {
		talk.Go(func() {
			if err := m.talk(quit); err != nil {
				t.Errorf("%s: %v", m.nick, err)
			}
		})
		talk.Go(func() {
			if err := m.listen(); err != nil {
				t.Errorf("%s: %v", m.nick, err)
			}
		})
	}
	for i := range upgrades {
		p.Upgrade(syscall.SIGUSR2)
		p.AwaitLog("generation ended", i+1)
		for _, m := range room {
			goal := m.count.Load() + 2*talkers
			p.Await(m.nick+" hears more", func() bool { return m.count.Load() >= goal || t.Failed() })
		}
	}
	close(quit)
	talk.Wait()
	if t.Failed() {
		return
	}
	t.Logf("each of %d has heard %d messages, through %d upgrades", talkers, room[0].count.Load(), upgrades)

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

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/gracex-go/gracex/internal/must"
)

// enter lets a member in over a pipe, and returns the client's end and what is
// closed when the server has done with the member.
func enter(h *hub, nick string) (net.Conn, <-chan struct{}) {
	server, client := net.Pipe()
	m := newMember(h, server, nick, nil)
	h.join(m, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.run(nil)
	}()
	return client, done
}

// A client that does not read holds up nobody, and is dropped.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		slow, dropped := enter(h, "slow")
		fast, left := enter(h, "fast")
		begin := time.Now()
		for i := range backlog + batch {
			text := fmt.Sprint(i)
			must.Do(t, wsutil.WriteClientText(fast, []byte(text)))
			if got, err := wsutil.ReadServerText(fast); string(got) != "fast: "+text {
				t.Fatalf("%q, %v after %d", got, err, i)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the fast one waited %v for the slow one", waited)
		}
		<-dropped
		if took := time.Since(begin); took != writeTimeout {
			t.Errorf("dropped after %v", took)
		}
		if _, err := slow.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the slow one's connection: %v", err)
		}
		fast.Close()
		<-left
		synctest.Wait()
		if n := len(h.readers); n != 0 {
			t.Errorf("%d readers are left", n)
		}
	})
}

// Who reads too slowly for what is said, and who comes from the old process when the
// beginning is forgotten, misses messages and is dropped.
func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		said    int
		dropped bool
	}{
		{backlog, false},
		{backlog + 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub()
			for i := range tt.said {
				h.publish(textFrame(fmt.Append(nil, i)))
			}
			server, client := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				h.adopt(server, []byte(`{"nick":"late"}`))
			}()
			first, err := wsutil.ReadServerText(client)
			if tt.dropped != (err != nil) || !tt.dropped && string(first) != "0" {
				t.Errorf("after %d messages: %q, %v", tt.said, first, err)
			}
			client.Close()
			<-done
		})
	}
}

// Before a client is told to go, it gets all that was said, also by others: nobody
// goes while somebody is still being read from.
func TestDrainFlushes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const said = 3 * batch
		h := newHub()
		ann, annDone := enter(h, "ann")
		bob, bobDone := enter(h, "bob")
		// One whose reader takes its time to stop.
		h.mu.Lock()
		other, _ := net.Pipe()
		busy := newMember(h, other, "busy", nil)
		h.readers[busy] = struct{}{}
		h.mu.Unlock()

		h.drain()
		synctest.Wait()
		for range said {
			h.publish(textFrame([]byte("hello")))
		}
		go h.stopped(busy, nil)
		for _, c := range []net.Conn{ann, bob} {
			heard := 0
			var err error
			for ; err == nil; heard++ {
				_, err = wsutil.ReadServerText(c)
			}
			if closed := (wsutil.ClosedError{}); !errors.As(err, &closed) || closed.Code != ws.StatusGoingAway || heard != said+1 {
				t.Errorf("%d messages, then %v", heard-1, err)
			}
			c.Close()
		}
		<-annDone
		<-bobDone
	})
}

// A message that was complete when the drain began has been said, and does not go
// along: the next process would say it again.
func TestWholeMessageStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		server, client := net.Pipe()
		m := newMember(h, server, "ann", nil)
		h.join(m, false)
		synctest.Wait()
		h.mu.Lock() // where publish waits
		must.Do(t, wsutil.WriteClientText(client, []byte("hello")))
		h.draining = true
		h.mu.Unlock()
		synctest.Wait()
		if len(h.readers) != 0 || len(h.log) != 1 || len(m.in.held) != 0 {
			t.Errorf("%d readers, %d messages, %q held", len(h.readers), len(h.log), m.in.held)
		}
	})
}

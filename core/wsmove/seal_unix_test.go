//go:build unix

package wsmove

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestMove_NoWriterHearsOfItBeforeAllAreSealed: a hub whose write to one member fails tells the others that somebody has
// left.
func TestMove_NoWriterHearsOfItBeforeAllAreSealed(t *testing.T) {
	t.Parallel()
	writes, halfWritten, finish := make(chan struct{}), make(chan struct{}), make(chan struct{})
	early := make(chan bool, 1)
	first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		must.Do(t, err)
		defer l.Close()
		if r.URL.Path == "/half" {
			go func() {
				_ = l.frame(1, false, []byte("one half "))
				close(halfWritten)
				<-finish
				_ = l.frame(0, true, []byte("and the other"))
			}()
		} else {
			go func() {
				<-writes
				err := l.write("after the seal")
				if !errors.Is(err, ErrMoving) {
					t.Errorf("the write returns %v", err)
				}
				early <- !isClosed(l.Conn.(*conn).attempt.Load().ended)
			}()
		}
		_, _ = l.read()
	}), echo("second"))
	half := dial(t, addr, "/half")
	dial(t, addr, "/")
	<-halfWritten
	first.awaits(2)
	first.leave()
	await(t, "one is sealed", func() bool { return !first.every(func(c *conn) bool { return !c.isSealed() }) })
	close(writes)
	await(t, "a writer waits, or has given up", func() bool {
		return len(early) > 0 || !first.every(func(c *conn) bool {
			free := c.out.mu.TryLock()
			if free {
				c.out.mu.Unlock()
			}
			return free
		})
	})
	close(finish)
	half.hears("one half and the other")
	second.awaits(2)
	if <-early {
		t.Error("a write has failed while another connection was not sealed")
	}
}

// TestMove_WhatIsOnItsWayArrives: one handler has read it, and a goroutine passes it to another client when nothing is
// read any more.
func TestMove_WhatIsOnItsWayArrives(t *testing.T) {
	t.Parallel()
	said, stopped := make(chan string), make(chan struct{})
	first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		must.Do(t, err)
		defer l.Close()
		if r.URL.Path == "/hears" {
			go func() {
				message := <-said
				<-stopped
				if err := l.write(message); err != nil {
					t.Error(err)
				}
			}()
		}
		for message, err := l.read(); err == nil; message, err = l.read() {
			said <- message
		}
	}), echo("second"), WithSettle(time.Second))
	first.quiet = 25 // ticks, so that this test need not be fast
	says, hears := dial(t, addr, "/says"), dial(t, addr, "/hears")
	says.say("hello")
	first.hasRead(len(text("hello")))
	first.awaits(2)
	first.leave()
	await(t, "nothing is read any more", func() bool {
		return first.every(func(c *conn) bool { a := c.attempt.Load(); return a != nil && isClosed(a.paused) })
	})
	close(stopped)
	hears.hears("hello")
	second.awaits(2)
}

// TestConn_OneThatIsSealedMoves, also if the program has closed it since.
func TestConn_OneThatIsSealedMoves(t *testing.T) {
	t.Parallel()
	for range 50 { // select takes any of two channels
		here, there := net.Pipe()
		defer there.Close()
		defer here.Close()
		c := newConn(here, &Session{})
		a := c.begin()
		c.sealUnlessClosed()
		close(a.sealed)
		must.Do(t, c.Close())
		if !c.awaitSeal(a) {
			t.Fatal("it is taken for one that has gone")
		}
	}
}

// TestMove_OneThatIsClosedIsForgotten: the program has closed it before the handshake was answered.
func TestMove_OneThatIsClosedIsForgotten(t *testing.T) {
	t.Parallel()
	answered := make(chan struct{})
	first, second, addr := pair(t, echo("first"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(answered)
		Move(r)
		c, _, err := w.(http.Hijacker).Hijack()
		must.Do(t, err)
		must.Do(t, c.Close())
		must.Get(io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n"))(t)
	}))
	c := dial(t, addr, "/")
	first.leave()
	<-answered
	if n := must.Get(io.Copy(io.Discard, c.in))(t); n > 0 {
		t.Errorf("%d bytes", n)
	}
	second.awaits(0)
}

// TestMove_WhoHasLostItSetsNoDeadline: the connection is not taken, and another call of the handler has it.
func TestMove_WhoHasLostItSetsNoDeadline(t *testing.T) {
	t.Parallel()
	again, set := make(chan struct{}), make(chan struct{})
	first := newPlayed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := Move(r)
		l, err := upgrade(w)
		must.Do(t, err)
		defer l.Close()
		if !s.Moved() {
			go func() {
				<-again
				must.Do(t, l.SetDeadline(longAgo))
				close(set)
			}()
			_, _ = l.read()
			return
		}
		close(again)
		<-set
		must.Do(t, l.write("still here"))
		_, _ = l.read()
	}), WithSpread(time.Hour))
	c := dial(t, first.start(false).Listener.Addr().String(), "/")
	first.leave()
	c.hears("still here")
}

// TestDeadlines_AnEndedAttemptWakesNothing: a timer can come late.
func TestDeadlines_AnEndedAttemptWakesNothing(t *testing.T) {
	t.Parallel()
	c, peer := net.Pipe()
	defer peer.Close()
	defer c.Close()
	go func() { _, _ = io.Copy(io.Discard, peer) }()
	for what, end := range map[string]func(a *attempt){
		"sealed": func(a *attempt) { close(a.sealed) },
		"undone": func(a *attempt) { close(a.undone) },
	} {
		d, a := deadlines{socket: c}, newAttempt()
		end(a)
		d.wakeWrite(a)
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestConn_ADeadlineIsPutOff for as long as the connection was not read from on our account.
func TestConn_ADeadlineIsPutOff(t *testing.T) {
	t.Parallel()
	for what, hold := range map[string]func(c *conn) (release func()){
		"the gate": func(c *conn) func() {
			c.gate = &gate{left: 2, open: make(chan struct{})}
			return func() {
				await(t, "it has come", func() bool { c.gate.mu.Lock(); defer c.gate.mu.Unlock(); return c.gate.left == 1 })
				c.gate.arrive()
			}
		},
		"an attempt": func(c *conn) func() {
			a := c.begin()
			return func() {
				<-a.paused
				c.undo(a)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			here, there := net.Pipe()
			defer there.Close()
			defer here.Close()
			c := newConn(here, &Session{})
			deadline := time.Now().Add(time.Hour)
			must.Do(t, c.SetReadDeadline(deadline))
			c.in.used = what != "the gate"
			release := hold(c)
			read := make(chan error, 1)
			go func() {
				_, err := c.Read(make([]byte, 1))
				read <- err
			}()
			release()
			must.Get(there.Write([]byte("x")))(t)
			must.Do(t, <-read)
			c.deadlines.mu.Lock()
			defer c.deadlines.mu.Unlock()
			if !c.deadlines.read.program.After(deadline) {
				t.Error("it is the same")
			}
		})
	}
}

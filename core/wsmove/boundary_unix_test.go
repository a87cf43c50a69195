//go:build unix

package wsmove

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestMove_WhereReadingStops: the client has sent a part of a message when the process drains, and sends the rest when
// the connection has moved.
func TestMove_WhereReadingStops(t *testing.T) {
	t.Parallel()
	hello := text("hello")
	fragments := append(frameOf(1, false, true, []byte("one ")), frameOf(9, true, true, []byte("ping"))...)
	big := strings.Repeat("b", maxUnread+1000)
	for name, tt := range map[string]struct {
		before, after []byte
		want          string
	}{
		"nothing":                     {nil, hello, "hello"},
		"a byte of a head":            {hello[:1], hello[1:], "hello"},
		"a head":                      {hello[:6], hello[6:], "hello"},
		"a part of the payload":       {hello[:8], hello[8:], "hello"},
		"between fragments":           {fragments, append(frameOf(0, false, true, []byte("two ")), frameOf(0, true, true, []byte("three"))...), "one two three"},
		"in the second fragment":      {append(fragments, frameOf(0, true, true, []byte("three"))[:3]...), frameOf(0, true, true, []byte("three"))[3:], "one three"},
		"nearly all that goes along":  {text(big[:maxUnread])[:maxUnread-10], text(big[:maxUnread])[maxUnread-10:], big[:maxUnread]},
		"a head of the long form":     {text(big)[:3], text(big)[3:], big},
		"a ping before it, in a part": {append(frameOf(9, true, true, nil), hello[:7]...), hello[7:], "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/upgrade", "/accept"} {
				first, second, addr := pair(t, echo("first"), echo("second"))
				c := dial(t, addr, path)
				c.say("1")
				c.hears("first 1")
				c.send(tt.before)
				first.hasRead(len(text("1")) + len(tt.before))
				first.leave()
				second.awaits(1)
				c.send(tt.after)
				c.hears("second " + tt.want)
				c.say("3")
				c.hears("second 3")
			}
		})
	}
}

// awaits waits until so many connections are p's.
func (p *played) awaits(n int) {
	p.t.Helper()
	await(p.t, "the connections have moved", func() bool {
		p.mover.mu.Lock()
		defer p.mover.mu.Unlock()
		return len(p.conns) == n
	})
}

// hasRead waits until libraries in p have read so many bytes.
func (p *played) hasRead(n int) {
	p.t.Helper()
	await(p.t, "the bytes are read", func() bool {
		total, ok := bytesRead.Load(p.mover)
		return ok && total.(*atomic.Int64).Load() >= int64(n)
	})
}

// allSealing reports whether the drain has begun, and writing is to stop everywhere.
func (p *played) allSealing() bool {
	return p.hasBegun() && p.every(func(c *conn) bool { a := c.attempt.Load(); return a != nil && a.seals.Load() })
}

// allStay reports whether the drain has begun, and every connection that is left stays.
func (p *played) allStay() bool {
	return p.hasBegun() && p.every(func(c *conn) bool { return c.attempt.Load() == nil })
}

// hangs waits until a write hangs, as far as that can be seen: for a while nothing was written, and a writer has the
// lock whenever it is asked for.
func (p *played) hangs() {
	p.t.Helper()
	last, since := uint64(0), time.Now()
	await(p.t, "a write hangs", func() bool {
		waits := p.every(func(c *conn) bool {
			free := c.out.mu.TryLock()
			if free {
				c.out.mu.Unlock()
			}
			return !free
		})
		now := uint64(0)
		p.every(func(c *conn) bool { now += c.out.writes.Load(); return true })
		if now != last || !waits {
			last, since = now, time.Now()
		}
		return last > 0 && time.Since(since) > 100*time.Millisecond
	})
}

// hasBegun reports whether the steps of the drain have begun.
func (p *played) hasBegun() bool {
	p.mover.mu.Lock()
	defer p.mover.mu.Unlock()
	return p.left != nil
}

func (p *played) every(is func(*conn) bool) bool {
	p.mover.mu.Lock()
	defer p.mover.mu.Unlock()
	for c := range p.conns {
		if !is(c) {
			return false
		}
	}
	return true
}

// TestMove_WhatComesWithTheHandshake is in net/http's buffer.
func TestMove_WhatComesWithTheHandshake(t *testing.T) {
	t.Parallel()
	first, second, addr := pair(t, echo("first"), echo("second"))
	c := shake(t, must.Get(net.Dial("tcp", addr))(t), "/", append(text("early"), text("half")[:7]...))
	c.hears("first early")
	first.leave()
	second.awaits(1)
	c.send(text("half")[7:])
	c.hears("second half")
}

// TestMove_ALongMessageIsReadToItsEnd: its beginning does not go along. What comes behind it does, unless the process has
// just given one try up, and is about to begin the next.
func TestMove_ALongMessageIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	first, second, addr := pair(t, echo("first"), echo("second"))
	c := dial(t, addr, "/")
	other := dial(t, addr, "/")
	long := strings.Repeat("x", 3*maxUnread)
	c.send(text(long)[:2*maxUnread])
	first.hasRead(2 * maxUnread)
	first.leave()
	second.awaits(1) // the other one does not wait for it
	other.say("1")
	other.hears("second 1")
	c.send(append(text(long)[2*maxUnread:], text("next")...))
	c.hears("first " + long)
	if _, got := c.next(); got != "second next" && got != "first next" {
		t.Fatalf("%.60q", got)
	}
	second.awaits(2)
	c.say("last")
	c.hears("second last")
}

// TestMove_AHandlerFinishesItsMessage, and what the library has read ahead.
func TestMove_AHandlerFinishesItsMessage(t *testing.T) {
	t.Parallel()
	works, goOn := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		if err != nil {
			return
		}
		defer l.Close()
		for {
			message, err := l.read()
			if err != nil {
				return
			}
			if message == "work" {
				close(works)
				<-goOn
			}
			if l.write("first "+message) != nil {
				return
			}
		}
	})
	first, second, addr := pair(t, slow, echo("second"))
	c, other := dial(t, addr, "/"), dial(t, addr, "/")
	c.send(append(text("work"), text("ahead")...))
	<-works
	first.leave()
	second.awaits(1)
	other.say("1")
	other.hears("second 1")
	c.say("later")
	close(goOn)
	c.hears("first work")
	c.hears("first ahead")
	// The library may have read it together with the others, or not at all.
	if op, got := c.next(); op != 1 || got != "first later" && got != "second later" {
		t.Fatalf("opcode %d, %q", op, got)
	}
	c.say("last")
	second.awaits(2)
	c.hears("second last")
}

// TestMove_AHalfWrittenMessageIsFinished by the old process; so is one in fragments, with a ping in between.
func TestMove_AHalfWrittenMessageIsFinished(t *testing.T) {
	t.Parallel()
	wrote, goOn := make(chan struct{}), make(chan struct{})
	halves := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		if err != nil {
			return
		}
		defer l.Close()
		go func() {
			defer l.Close()
			frame := frameOf(0, true, false, []byte("and the other"))
			_ = l.frame(1, false, []byte("one half "))
			_, _ = l.Conn.Write(frame[:5])
			close(wrote)
			<-goOn
			_, _ = l.Conn.Write(frame[5:])
			if _, err := l.Conn.Write(frameOf(1, true, false, []byte("too late"))); err != ErrMoving { //nolint:errorlint // the very one
				t.Errorf("the next message: %v", err)
			}
		}()
		_, _ = l.read()
		<-goOn
	})
	first, second, addr := pair(t, halves, echo("second"))
	c := dial(t, addr, "/")
	<-wrote
	first.leave()
	await(t, "writing is to stop", first.allSealing)
	close(goOn)
	c.hears("one half and the other")
	second.awaits(1)
	c.say("1")
	c.hears("second 1")
}

// TestMove_TheRestOfAMessageGoesAlong for which the client has no room, also if the new process writes nothing.
func TestMove_TheRestOfAMessageGoesAlong(t *testing.T) {
	t.Parallel()
	const size = 30 << 10
	written := make(chan int, 1)
	flood := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		if err != nil {
			return
		}
		defer l.Close()
		socket := l.Conn.(*conn).NetConn().(*net.TCPConn)
		must.Do(t, socket.SetWriteBuffer(4<<10)) // which stays as it is then
		for n := 0; ; n++ {
			if err := l.frame(2, true, append([]byte{byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, size-3)...)); err != nil {
				written <- n
				return
			}
		}
	})
	first, _, addr := pair(t, flood, echo("second"))
	c := dial(t, addr, "/")
	must.Do(t, c.Conn.(*net.TCPConn).SetReadBuffer(size))
	first.hangs()
	first.leave()
	n := <-written // all of them count as sent
	for i := range n {
		op, got := c.next()
		if op != 1 || len(got) != size || int(got[0])<<16|int(got[1])<<8|int(got[2]) != i {
			t.Fatalf("message %d of %d: %d bytes", i, n, len(got))
		}
	}
	c.say("1")
	c.hears("second 1")
	if sizes := first.handed(); len(sizes) != 1 || sizes[0][2] == 0 {
		t.Errorf("%v went along: nothing of a message", sizes)
	}
}

// TestMove_ACloseHandshakeStays with the process in which it has begun.
func TestMove_ACloseHandshakeStays(t *testing.T) {
	t.Parallel()
	normal := frameOf(opClose, true, true, []byte{3, 232})
	t.Run("the client's", func(t *testing.T) {
		t.Parallel()
		first, _, addr := pair(t, echo("first"), echo("second"))
		c := dial(t, addr, "/")
		c.send(normal[:7])
		first.hasRead(7)
		first.leave()
		await(t, "the others have moved", func() bool { return strings.Contains(first.log.String(), "alone=1") })
		c.send(normal[7:])
		if op, got := c.next(); op != opClose || got != "\x03\xe8" {
			t.Errorf("opcode %d, %q", op, got)
		}
		if n := len(first.handed()); n > 0 {
			t.Errorf("%d have moved", n)
		}
	})
	t.Run("the program's", func(t *testing.T) {
		t.Parallel()
		closing, gone := make(chan struct{}), make(chan error, 1)
		first, _, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Move(r)
			l, err := upgrade(w)
			if err != nil {
				return
			}
			defer l.Close()
			_ = l.frame(opClose, true, []byte{3, 232})
			close(closing)
			_, err = l.read() // the client's answer
			gone <- err
		}), echo("second"))
		c := dial(t, addr, "/")
		<-closing
		first.leave()
		await(t, "it is known that it stays", first.allStay)
		c.send(normal)
		select {
		case err := <-gone:
			if err == nil || !strings.Contains(err.Error(), "1000") {
				t.Errorf("the program hears %v", err)
			}
		case <-time.After(patience):
			t.Error("the program does not hear the client's answer")
		}
	})
}

// TestMove_AClientThatDoesNotReadHoldsUpNobody: the handler answers the handshake, and the rest of the message for which
// the client has no room waits.
func TestMove_AClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const size = 30 << 10
	first, second, addr := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		if err != nil {
			return
		}
		defer l.Close()
		must.Do(t, l.Conn.(*conn).NetConn().(*net.TCPConn).SetWriteBuffer(4<<10)) // the rest of a message does not fit in
		for err == nil {
			err = l.frame(2, true, make([]byte, size))
		}
	}), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Millisecond) // for what must not begin before the handshake is answered
		echo("second")(w, r)
	}))
	c := dial(t, addr, "/")
	must.Do(t, c.Conn.(*net.TCPConn).SetReadBuffer(size))
	first.hangs()
	first.leave()
	second.awaits(1)
	if sizes := first.handed(); sizes[0][2] == 0 {
		t.Errorf("%v went along: nothing of a message", sizes)
	}
	c.say("after all")
	for op, got := c.next(); got != "second after all"; op, got = c.next() {
		if op != 1 || len(got) != size {
			t.Fatalf("opcode %d, %d bytes", op, len(got))
		}
	}
}

//go:build unix

package tls13

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/must"
)

// over1 is a connection that carries HTTP/1. It knows the boundary between two requests as package conns does.
type over1 struct {
	movable
	chain *chain
	sock  net.Conn
	fresh bool // there has been no request
	step  atomic.Int32

	mu    sync.Mutex
	to    *server
	done  func()
	waits bool // at the boundary
	woken bool
	dl    time.Time
	gone  bool
}

func (c *over1) moveTo(s *server, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		done()
		return
	}
	c.to, c.done = s, done
	if c.waits {
		c.woken = true
		_ = c.movable.SetReadDeadline(time.Unix(1, 0))
	}
}

func (c *over1) Close() error {
	c.mu.Lock()
	c.gone = true
	if c.done != nil {
		c.done()
	}
	c.mu.Unlock()
	return c.movable.Close()
}

func (c *over1) SetReadDeadline(t time.Time) error {
	if st := c.step.Load(); st > 0 {
		c.step.Store((st + 1) % 3)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dl = t; c.woken {
		return nil
	}
	return c.movable.SetReadDeadline(t)
}

func (c *over1) Read(b []byte) (int, error) {
	if !(c.fresh || c.step.Load() == 2 && len(b) == 4096) {
		return c.movable.Read(b)
	}
	for {
		if c.leaves() {
			return 0, io.EOF
		}
		n, err := c.movable.Read(b)
		c.mu.Lock()
		woken := c.woken
		c.waits, c.woken = false, false
		if woken {
			_ = c.movable.SetReadDeadline(c.dl)
		}
		c.mu.Unlock()
		if n > 0 {
			c.fresh = false
		}
		if n > 0 || !woken || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// leaves moves the connection if it is to. Otherwise it waits from here on.
func (c *over1) leaves() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return true
	}
	if c.to != nil {
		to, done := c.to, c.done
		sealed, err := c.movable.Seal()
		if err == nil {
			c.to, c.done = nil, nil
			defer done()
			if nc, next := c.chain.take(c.sock, sealed.State()); next != nil {
				sealed.Gone()
				c.gone = true
				go to.serve(&over1{chain: c.chain, sock: nc, movable: next, fresh: true})
				return true
			}
			sealed.Refused()
		} else if !errors.Is(err, ErrBusy) {
			c.to, c.done = nil, nil
			c.chain.t.Errorf("it stays: %v", err)
			done()
		}
	}
	c.waits = true
	return false
}

// over2 is a connection that carries HTTP/2.
type over2 struct {
	*h2.Conn
	chain *chain
	sock  net.Conn

	mu   sync.Mutex
	done func() // nil unless it is to move
	gone bool
}

func (c *over2) moveTo(s *server, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		done()
		return
	}
	c.done = done
	c.Conn.Move(&taker{c, s, done}, h2.Pace{Hold: 25 * time.Millisecond, Patience: patience})
}

// Close ends a move as well.
func (c *over2) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone = true; c.done != nil {
		c.done()
	}
	return err
}

// taker is h2's Taker.
type taker struct {
	c    *over2
	to   *server
	done func()
}

func (m *taker) Wants() bool { return true }

func (m *taker) Stays(why string) {
	m.c.chain.t.Errorf("it stays: %s", why)
	m.done()
}

func (m *taker) Ready() bool { return true }

func (m *taker) Offer(st *h2.State) bool {
	defer m.done()
	st, err := h2.ParseState(st.Append(nil))
	must.Do(m.c.chain.t, err)
	must.Do(m.c.chain.t, m.to.greeting.Takes(st))
	sealed, err := m.c.Conn.Conn.(movable).Seal()
	if err != nil {
		m.c.chain.t.Errorf("it stays: %v", err)
		return false
	}
	nc, next := m.c.chain.take(m.c.sock, sealed.State())
	if next == nil {
		sealed.Refused()
		return false
	}
	sealed.Gone()
	go m.to.serve(&over2{chain: m.c.chain, sock: nc, Conn: h2.Adopt(next, st, h2.NetHTTP, func() {})})
	return true
}

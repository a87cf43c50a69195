package h2

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// chain is a service whose connections move from one server of net/http's to another. It stands for processes: what
// passes from one to the next is the socket and an encoded State.
type chain struct {
	t       testing.TB
	handler http.Handler
	setUp   func(generation int, srv *http.Server) // or nil
	errors  bytes.Buffer                           // that servers log, guarded by mu

	mu      sync.Mutex
	servers []*server
	conns   map[*Conn]*server
	moved   atomic.Int64
	stayed  map[string]int

	hold, withhold time.Duration // of moves
}

// server is one of them, and its listener.
type server struct {
	*http.Server
	greeting *Greeting
	accepts  chan net.Conn
	done     chan struct{}
}

func (s *server) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepts:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

func (s *server) Close() error   { return nil }
func (s *server) Addr() net.Addr { return &net.TCPAddr{} }

type connKey struct{}

// newChain serves connections to addr.
func newChain(t testing.TB, handler http.Handler, setUp func(int, *http.Server)) (c *chain, addr string) {
	t.Helper()
	c = &chain{t: t, handler: handler, setUp: setUp, conns: map[*Conn]*server{}, stayed: map[string]int{}, hold: 25 * time.Millisecond}
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	c.next()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s := c.last()
			s.accepts <- c.add(s, New(&descriptor{Conn: nc}, len(Preface), 0, func() {}))
		}
	}()
	t.Cleanup(func() {
		must.Do(t, ln.Close())
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.servers {
			close(s.done)
			must.Do(t, s.Server.Close())
		}
		if c.errors.Len() > 0 {
			t.Errorf("servers say: %s", c.errors.String())
		}
	})
	return c, ln.Addr().String()
}

// Write is the servers' log.
func (c *chain) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errors.Write(b)
}

// next starts one more server.
func (c *chain) next() *server {
	c.t.Helper()
	s := &server{accepts: make(chan net.Conn), done: make(chan struct{})}
	s.Server = &http.Server{
		ErrorLog: log.New(c, "", 0), Protocols: new(http.Protocols),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !r.Context().Value(connKey{}).(*Conn).Answer(w, r) {
				c.handler.ServeHTTP(w, r)
			}
		}),
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, nc)
		},
		ConnState: func(nc net.Conn, st http.ConnState) {
			if st == http.StateClosed {
				c.mu.Lock()
				delete(c.conns, nc.(*Conn))
				c.mu.Unlock()
			}
		},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	c.mu.Lock()
	n := len(c.servers)
	c.mu.Unlock()
	if c.setUp != nil {
		c.setUp(n, s.Server)
	}
	s.greeting = must.Get(Greet(s.Server))(c.t)
	go func() { _ = s.Server.Serve(s) }()
	c.mu.Lock()
	c.servers = append(c.servers, s)
	c.mu.Unlock()
	return s
}

func (c *chain) last() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[len(c.servers)-1]
}

// add notes that s is to have the connection.
func (c *chain) add(s *server, conn *Conn) *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = s
	return conn
}

// upgrade starts a server, and has all connections move to it. It returns when they have, or stay.
func (c *chain) upgrade() {
	c.t.Helper()
	s := c.next()
	c.mu.Lock()
	moves := []*taker{}
	for conn := range c.conns {
		moves = append(moves, &taker{c: c, to: s, conn: conn, done: make(chan struct{})})
	}
	c.mu.Unlock()
	for _, m := range moves {
		m.conn.Move(m, Pace{Hold: c.hold, Withhold: c.withhold, WithholdFor: 100 * time.Millisecond, Patience: patience})
	}
	for _, m := range moves {
		select {
		case <-m.done:
		case <-m.conn.ended:
		case <-time.After(patience):
			c.t.Fatal("a connection neither moves nor stays")
		}
	}
}

// taker moves one connection.
type taker struct {
	c    *chain
	to   *server
	conn *Conn
	done chan struct{}
}

func (m *taker) Wants() bool { return true }

func (m *taker) Stays(why string) { m.refuse(why) }

func (m *taker) refuse(why string) {
	m.c.mu.Lock()
	m.c.stayed[why]++
	m.c.mu.Unlock()
	close(m.done)
}

func (m *taker) Ready() bool { return true }

func (m *taker) Offer(st *State) bool {
	st, err := ParseState(st.Append(nil))
	if err == nil {
		err = m.to.greeting.Takes(st)
	}
	if err != nil {
		m.refuse(err.Error())
		return false
	}
	below := m.conn.Conn.(*descriptor).leave()
	m.c.moved.Add(1)
	_ = below.SetDeadline(time.Time{})                                             // a test that is over has closed it
	conn := m.c.add(m.to, Adopt(&descriptor{Conn: below}, st, NetHTTP, func() {})) // before the next upgrade looks
	go func() { m.to.accepts <- conn }()
	close(m.done)
	return true
}

// descriptor is what a process has of a connection. After leave nothing that is done with it has an effect on that.
type descriptor struct {
	net.Conn
	mu   sync.Mutex
	left bool
}

func (d *descriptor) leave() net.Conn {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = true
	return d.Conn
}

func (d *descriptor) unlessLeft(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left {
		return nil
	}
	return f()
}

func (d *descriptor) use() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left {
		panic("another process has the connection")
	}
}

func (d *descriptor) Read(b []byte) (int, error) {
	d.use()
	return d.Conn.Read(b)
}

func (d *descriptor) Write(b []byte) (int, error) {
	d.use()
	return d.Conn.Write(b)
}

func (d *descriptor) Close() error { return d.unlessLeft(d.Conn.Close) }
func (d *descriptor) SetDeadline(t time.Time) error {
	return d.unlessLeft(func() error { return d.Conn.SetDeadline(t) })
}
func (d *descriptor) SetReadDeadline(t time.Time) error {
	return d.unlessLeft(func() error { return d.Conn.SetReadDeadline(t) })
}
func (d *descriptor) SetWriteDeadline(t time.Time) error {
	return d.unlessLeft(func() error { return d.Conn.SetWriteDeadline(t) })
}

// expectMoved checks how many moves there were, and that nothing stayed.
func (c *chain) expectMoved(atLeast int64) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.moved.Load(); n < atLeast || len(c.stayed) > 0 {
		c.t.Errorf("%d moves, want %d; stayed: %v", n, atLeast, c.stayed)
	}
}

// clients is net/http's client, whose connections are counted. It repeats nothing that has a body from a stream.
func clients(t testing.TB, n int, conf *http.HTTP2Config) (all []*http.Client, dials *atomic.Int64) {
	dials = new(atomic.Int64)
	for range n {
		tr := &http.Transport{HTTP2: conf, Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		tr.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(tr.CloseIdleConnections)
		all = append(all, &http.Client{Transport: tr, Timeout: patience})
	}
	return all, dials
}

// echo answers with the body, or with as many bytes as "n" says, and the fields X-*.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Back", r.Header.Get("X-There"))
	if n := 0; r.URL.Path == "/bytes" {
		_, _ = fmt.Sscan(r.URL.RawQuery, &n)
		_, _ = w.Write(bytes.Repeat([]byte("x"), n))
		return
	}
	if r.URL.Path != "/deaf" {
		_, _ = io.Copy(w, r.Body)
	}
})

// ask sends a request of a random kind.
func ask(cl *http.Client, addr string) error {
	size := []int{0, 10, 3000, 70000}[rand.N(4)]
	body := strings.Repeat("b", size)
	path, method, want := "/", http.MethodPost, body
	var in io.Reader = struct{ io.Reader }{strings.NewReader(body)} // nobody can send it again
	switch rand.N(4) {
	case 0:
		path, method, want, in = fmt.Sprintf("/bytes?%d", size), http.MethodGet, strings.Repeat("x", size), nil
	case 1:
		path, want = "/deaf", ""
	}
	r, err := http.NewRequest(method, "http://"+addr+path, in)
	if err != nil {
		return err
	}
	there := fmt.Sprint(rand.N(50), strings.Repeat("\x7f"[1:]+"~h", rand.N(40)))
	r.Header.Set("X-There", there)
	resp, err := cl.Do(r)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && (string(b) != want || resp.Header.Get("X-Back") != there || resp.StatusCode != http.StatusOK) {
		err = fmt.Errorf("%s %s: %s, %d bytes", method, path, resp.Status, len(b))
	}
	return err
}

// load asks from n goroutines on each client until the function that it returns is called.
func load(t testing.TB, all []*http.Client, n int, addr string, think time.Duration) (stop func() (requests int64)) {
	var wg sync.WaitGroup
	var over atomic.Bool
	var count atomic.Int64
	for _, cl := range all {
		must.Do(t, ask(cl, addr)) // else it dials for each of the first requests
		for range n {
			wg.Go(func() {
				for !over.Load() {
					if err := ask(cl, addr); err != nil {
						t.Error(err)
						return
					}
					count.Add(1)
					time.Sleep(think)
				}
			})
		}
	}
	return func() int64 {
		over.Store(true)
		wg.Wait()
		return count.Load()
	}
}

// TestChain_ClientNoticesNothing: net/http's client, many requests at once, and many moves.
func TestChain_ClientNoticesNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		clients, each int
		think         time.Duration
		conf          *http.HTTP2Config
	}{
		"4 clients":              {4, 1, 0, nil},
		"8 requests at once":     {1, 8, time.Millisecond, nil},
		"32 requests at once":    {1, 32, 2 * time.Millisecond, nil},
		"idle between the moves": {4, 1, 30 * time.Millisecond, nil},
		// It gives back what it has read only in large pieces, so that each move has a history with an answer.
		"a small window": {4, 1, 0, &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 16, MaxReceiveBufferPerStream: 1 << 16}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, addr := newChain(t, echo, nil)
			all, dials := clients(t, tt.clients, tt.conf)
			stop := load(t, all, tt.each, addr, tt.think)
			var took time.Duration
			for range 15 {
				time.Sleep(10 * time.Millisecond)
				began := time.Now()
				c.upgrade()
				took = max(took, time.Since(began))
			}
			t.Log(took, stop(), "requests,", c.moved.Load(), "moves")
			c.expectMoved(10 * int64(tt.clients))
			if n := dials.Load(); n != int64(tt.clients) {
				t.Errorf("%d connections", n)
			}
		})
	}
}

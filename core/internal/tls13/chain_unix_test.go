//go:build unix

package tls13

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/must"
)

// chain is a service over TLS whose connections move from one server of net/http's to another. It stands for processes:
// what passes from one to the next is a copy of the descriptor, and encoded states.
type chain struct {
	t       testing.TB
	conf    *tls.Config
	refuses atomic.Bool // the next server takes nothing

	mu      sync.Mutex
	servers []*server
	conns   map[mover]bool
	log     bytes.Buffer

	handshakes, moved, refused atomic.Int64
}

// mover is a connection with the protocol that it carries.
type mover interface {
	net.Conn
	// moveTo has it move, and calls done when it has, or stays.
	moveTo(s *server, done func())
}

// server is one of them, with its two listeners' queues.
type server struct {
	c         *chain
	h1, h2    queue
	web, web2 *http.Server
	greeting  *h2.Greeting
}

type queue struct {
	conns chan net.Conn
	over  chan struct{}
}

func (q queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.over:
		return nil, net.ErrClosed
	}
}

func (q queue) Close() error   { return nil }
func (q queue) Addr() net.Addr { return &net.TCPAddr{} }

func newChain(t testing.TB, conf *tls.Config) (c *chain, addr string) {
	t.Helper()
	c = &chain{t: t, conf: Config(conf), conns: map[mover]bool{}}
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	c.next()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.accept(nc) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
		for _, s := range c.servers {
			close(s.h1.over)
			_ = s.web.Close()
			_ = s.web2.Close()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.log.Len() > 0 {
			t.Errorf("servers say: %s", c.log.String())
		}
	})
	return c, ln.Addr().String()
}

// Write is the servers' log.
func (c *chain) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(b)
}

func (c *chain) accept(nc net.Conn) {
	f := Server(nc, c.conf)
	if err := f.HandshakeContext(context.Background()); err != nil {
		_ = nc.Close()
		return
	}
	c.handshakes.Add(1)
	s := c.last()
	if f.ConnectionState().NegotiatedProtocol == "h2" {
		s.serve(&over2{chain: c, sock: nc, Conn: h2.New(f, len(h2.Preface), patience, func() {})})
		return
	}
	s.serve(&over1{chain: c, sock: nc, movable: f, fresh: true})
}

type connKey struct{}

// next starts a server.
func (c *chain) next() *server {
	c.t.Helper()
	s := &server{c: c}
	s.h1 = queue{make(chan net.Conn), make(chan struct{})}
	s.h2 = queue{make(chan net.Conn), s.h1.over}
	handler := http.HandlerFunc(echo)
	s.web = &http.Server{ErrorLog: log.New(c, "", 0), Handler: handler, ConnState: s.onState}
	s.web2 = &http.Server{
		ErrorLog: log.New(c, "", 0), Protocols: new(http.Protocols), ConnState: s.onState,
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context { return context.WithValue(ctx, connKey{}, nc) },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if conn := r.Context().Value(connKey{}).(*over2); !conn.Answer(w, r) {
				handler.ServeHTTP(w, r)
			}
		}),
	}
	s.web2.Protocols.SetUnencryptedHTTP2(true) // h2.DoorClear
	s.greeting = must.Get(h2.Greet(s.web2))(c.t)
	go func() { _ = s.web.Serve(s.h1) }()
	go func() { _ = s.web2.Serve(s.h2) }()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = append(c.servers, s)
	return s
}

func (c *chain) last() *server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[len(c.servers)-1]
}

func (s *server) serve(m mover) {
	s.c.mu.Lock()
	s.c.conns[m] = true
	s.c.mu.Unlock()
	to := s.h1
	if _, ok := m.(*over2); ok {
		to = s.h2
	}
	to.conns <- m
}

func (s *server) onState(nc net.Conn, st http.ConnState) {
	c, ok := nc.(*over1)
	switch {
	case st == http.StateClosed:
		s.c.mu.Lock()
		delete(s.c.conns, nc.(mover))
		s.c.mu.Unlock()
	case ok && st == http.StateIdle:
		c.step.Store(1)
	case ok && st == http.StateActive:
		c.step.Store(0)
	}
}

// upgrade starts a server, and has all connections move to it. It returns when they have, or stay.
func (c *chain) upgrade() {
	c.t.Helper()
	s := c.last()
	if !c.refuses.Load() {
		s = c.next()
	}
	c.mu.Lock()
	all := []mover{}
	for m := range c.conns {
		all = append(all, m)
	}
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, m := range all {
		wg.Add(1)
		m.moveTo(s, sync.OnceFunc(wg.Done))
	}
	over := make(chan struct{})
	go func() {
		wg.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-time.After(patience):
		c.t.Fatal("a connection neither moves nor stays")
	}
}

// take is what another process does with the descriptor and the state. It returns nil if it refuses.
func (c *chain) take(sock net.Conn, state []byte) (net.Conn, *Conn) {
	if c.refuses.Load() {
		c.refused.Add(1)
		return nil, nil
	}
	nc := duplicate(c.t, sock)
	conn := must.Get(Adopt(nc, state))(c.t).Taken()
	c.moved.Add(1)
	return nc, conn
}

// duplicate returns a connection with a descriptor of its own.
func duplicate(t testing.TB, nc net.Conn) net.Conn {
	t.Helper()
	var fd int
	var err error
	rc := must.Get(nc.(syscall.Conn).SyscallConn())(t)
	must.Do(t, rc.Control(func(s uintptr) { fd, err = syscall.Dup(int(s)) }))
	must.Do(t, err)
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	return must.Get(net.FileConn(f))(t)
}

// echo answers with the body, or with as many bytes as "n" says.
func echo(w http.ResponseWriter, r *http.Request) {
	n := 0
	if r.URL.Path == "/bytes" {
		_, _ = fmt.Sscan(r.URL.RawQuery, &n)
		_, _ = w.Write(bytes.Repeat([]byte("x"), n))
		return
	}
	if r.ProtoMajor == 1 && (r.TLS == nil || r.TLS.ServerName != "example.com" || r.TLS.NegotiatedProtocol != "http/1.1") {
		http.Error(w, "r.TLS is wrong", http.StatusInternalServerError)
		return
	}
	b, _ := io.ReadAll(r.Body) // HTTP/1 can't read on after the answer has begun
	_, _ = w.Write(b)
}

// ask sends a request of a random kind, whose body nobody can send again.
func ask(cl *http.Client, addr string) error {
	size := []int{0, 10, 3000, 70000}[rand.N(4)]
	path, method, want := "/", http.MethodPost, strings.Repeat("b", size)
	var in io.Reader = struct{ io.Reader }{strings.NewReader(want)}
	if rand.N(2) == 0 {
		path, method, want, in = fmt.Sprintf("/bytes?%d", size), http.MethodGet, strings.Repeat("x", size), nil
	}
	r, err := http.NewRequest(method, "https://"+addr+path, in)
	if err != nil {
		return err
	}
	resp, err := cl.Do(r)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && (string(b) != want || resp.StatusCode != http.StatusOK) {
		err = fmt.Errorf("%s %s: %s, %d bytes", method, path, resp.Status, len(b))
	}
	return err
}

// TestChain_ClientNoticesNothing: net/http's client, HTTP/1 and HTTP/2, many moves, and some that are refused. There is no
// connection and no handshake more than at the beginning.
func TestChain_ClientNoticesNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		http2         bool
		clients, each int
		think         time.Duration
	}{
		"HTTP/1, busy":      {false, 4, 1, 0},
		"HTTP/1, idle":      {false, 4, 1, 30 * time.Millisecond},
		"HTTP/2, busy":      {true, 2, 1, 0},
		"HTTP/2, 8 at once": {true, 1, 8, time.Millisecond},
		"HTTP/2, idle":      {true, 2, 1, 30 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, addr := newChain(t, serverConfig())
			var wg sync.WaitGroup
			var over atomic.Bool
			var requests atomic.Int64
			for range tt.clients {
				tr := &http.Transport{TLSClientConfig: clientConfig(), Protocols: new(http.Protocols)}
				if !tt.http2 {
					tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
				}
				tr.Protocols.SetHTTP1(!tt.http2)
				tr.Protocols.SetHTTP2(tt.http2)
				t.Cleanup(tr.CloseIdleConnections)
				cl := &http.Client{Transport: tr, Timeout: patience}
				if err := ask(cl, addr); err != nil { // else it dials for each of the first requests
					t.Error(err)
					break
				}
				for range tt.each {
					wg.Go(func() {
						for !over.Load() {
							if err := ask(cl, addr); err != nil {
								t.Error(err)
								return
							}
							requests.Add(1)
							time.Sleep(tt.think)
						}
					})
				}
			}
			for i := range 15 {
				time.Sleep(5 * time.Millisecond)
				c.refuses.Store(i%5 == 4)
				c.upgrade()
			}
			over.Store(true)
			wg.Wait()
			t.Log(requests.Load(), "requests,", c.moved.Load(), "moves,", c.refused.Load(), "refused")
			if n := c.handshakes.Load(); n != int64(tt.clients) {
				t.Errorf("%d handshakes of %d clients", n, tt.clients)
			}
			if c.moved.Load() < int64(10*tt.clients) || c.refused.Load() < int64(2*tt.clients) {
				t.Errorf("%d moves, %d refused", c.moved.Load(), c.refused.Load())
			}
		})
	}
}

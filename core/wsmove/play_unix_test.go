//go:build unix

package wsmove

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/internal/must"
)

// patience bounds every wait. Nothing that works comes near it.
const patience = 30 * time.Second

// played is one process of a service. The test plays what core does for it.
type played struct {
	*mover
	t    *testing.T
	next *played // that takes over; nil if there is none
	log  *logBook
	tls  *conns.Table // of its connections over TLS that can move

	mu      sync.Mutex
	drain   chan struct{}
	stops   atomic.Bool
	refuses atomic.Pointer[error] // why the next one takes nothing
	undoes  atomic.Bool           // and the drain is undone before that is known
	sizes   [][4]int              // of the parts of what has gone along
}

// newPlayed makes a process that serves by h.
func newPlayed(t *testing.T, h http.Handler, opts ...Option) *played {
	p := &played{t: t, drain: make(chan struct{}), log: &logBook{}, tls: conns.NewTable(conns.NewGoodbye())}
	opts = append([]Option{WithSpread(0), WithLogger(slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug})))}, opts...)
	p.mover = newMover("test", h, process{draining: p.draining, stopping: p.stops.Load, handoff: p.handoff, context: contextOf}, opts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("a process has logged:\n%s", p.log)
		}
	})
	return p
}

func (p *played) draining() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drain
}

// leave begins a drain.
func (p *played) leave() { close(p.drain) }

// serveAgain undoes the drain.
func (p *played) serveAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drain = make(chan struct{})
}

// watches reports whether the next drain is waited for.
func (p *played) watches() bool {
	drain := p.draining()
	p.mover.mu.Lock()
	defer p.mover.mu.Unlock()
	return p.watched == drain
}

// handed returns the sizes of the parts of what has gone along.
func (p *played) handed() [][4]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sizes
}

func contextOf(c net.Conn) context.Context {
	return context.WithValue(context.Background(), http.LocalAddrContextKey, c.LocalAddr())
}

// handoff passes a duplicate of the socket on, as core does.
func (p *played) handoff(c net.Conn, name string, state []byte) error {
	switch why := p.refuses.Load(); {
	case p.stops.Load():
		return core.ErrStopped
	case why != nil:
		if p.undoes.Load() && isClosed(p.draining()) {
			p.serveAgain()
		}
		return *why
	case !isClosed(p.draining()):
		return errors.New("no upgrade hands over")
	case p.next == nil || name != p.next.name || len(state) > core.MaxHandoffState:
		return fmt.Errorf("there is nobody for %q and %d bytes", name, len(state))
	}
	l, err := decodeLuggage(state)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.sizes = append(p.sizes, l.Sizes)
	p.mu.Unlock()
	if c, ok := c.(conns.SecureConn); ok {
		return p.handoffTLS(conns.Tracked(c), state)
	}
	nc, err := duplicate(c)
	if err != nil {
		return err
	}
	c.Close()
	go p.next.adopt(nc, state)
	return nil
}

// duplicate returns the socket below c a second time.
func duplicate(c net.Conn) (net.Conn, error) {
	for {
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = over.NetConn()
	}
	file, err := c.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileConn(file)
}

// start serves p's handler to clients, over TLS if asked for.
func (p *played) start(overTLS bool) *httptest.Server {
	srv := httptest.NewUnstartedServer(p.mover)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	if overTLS {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	p.t.Cleanup(srv.Close)
	return srv
}

// pair makes two processes with these handlers. The first one serves and hands over to the second one.
func pair(t *testing.T, before, after http.Handler, opts ...Option) (first, second *played, addr string) {
	first, second = newPlayed(t, before, opts...), newPlayed(t, after, opts...)
	first.next = second
	return first, second, first.start(false).Listener.Addr().String()
}

// logBook keeps what is logged.
type logBook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await waits until cond holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// client speaks raw frames.
type client struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader

	answer *http.Response
}

// dial opens a WebSocket. The headers are "Name: value".
func dial(t *testing.T, addr, path string, headers ...string) *client {
	t.Helper()
	return shake(t, must.Get(net.Dial("tcp", addr))(t), path, nil, headers...)
}

func dialTLS(t *testing.T, addr, path string) *client {
	t.Helper()
	return shake(t, must.Get(tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}))(t), path, nil)
}

// shake sends the handshake, and early right behind it.
func shake(t *testing.T, c net.Conn, path string, early []byte, headers ...string) *client {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	must.Do(t, c.SetReadDeadline(time.Now().Add(patience)))
	request := "GET " + path + " HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	must.Get(c.Write(append([]byte(request+"\r\n"), early...)))(t)
	in := bufio.NewReader(c)
	answer := must.Get(http.ReadResponse(in, nil))(t)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake: %s", answer.Status)
	}
	return &client{c, t, in, answer}
}

// send writes bytes, of any number of frames or of a part of one.
func (c *client) send(b []byte) {
	c.t.Helper()
	must.Get(c.Write(b))(c.t)
}

func (c *client) say(message string) {
	c.t.Helper()
	c.send(text(message))
}

// text is a message of a client.
func text(message string) []byte { return frameOf(1, true, true, []byte(message)) }

// hears checks which message comes next. Pongs are left out.
func (c *client) hears(want string) {
	c.t.Helper()
	if op, got := c.next(); op != 1 || got != want {
		c.t.Fatalf("opcode %d, %.60q; want %q", op, got, want)
	}
}

// ends checks that the next frame is a close frame with this code, and that the server closes then.
func (c *client) ends(code uint16) {
	c.t.Helper()
	op, got := c.next()
	if op != opClose || len(got) != 2 || binary.BigEndian.Uint16([]byte(got)) != code {
		c.t.Fatalf("opcode %d, %.60q; want a close frame with %d", op, got, code)
	}
	_, _ = c.Write(frameOf(opClose, true, true, []byte(got)))
	if n, err := io.Copy(io.Discard, c.in); n > 0 || err != nil {
		c.t.Fatalf("after the close frame %d bytes and %v", n, err)
	}
}

// next returns the next message, or the close frame.
func (c *client) next() (op byte, payload string) {
	c.t.Helper()
	must.Do(c.t, c.SetReadDeadline(time.Now().Add(patience)))
	var message []byte
	for {
		op, final, b, err := readFrame(c.in)
		switch {
		case err != nil:
			c.t.Fatalf("after %.60q: %v", message, err)
		case op == opClose:
			return op, string(b)
		case op < 8:
			message = append(message, b...)
			if final {
				return 1, string(message)
			}
		}
	}
}

//go:build unix

package wsmove

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// startSecure is start for TLS whose connections move, as with core.WithTLSHandoff.
func (p *played) startSecure() (addr string) {
	certFile, keyFile, _ := rawhttp.Certificate(p.t)
	cert := must.Get(tls.LoadX509KeyPair(certFile, keyFile))(p.t)
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(p.t)
	type key struct{}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS = r.Context().Value(key{}).(*conns.Conn).TLS()
			p.mover.ServeHTTP(secureResponse{w}, r)
		}),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) },
	}
	go func() {
		_ = srv.Serve(&secureListener{ln, p.tls, tls13.Config(&tls.Config{Certificates: []tls.Certificate{cert}})})
	}()
	p.t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// secureListener shakes hands before anybody has a connection. It has one client at a time.
type secureListener struct {
	net.Listener
	table *conns.Table
	conf  *tls.Config
}

func (l *secureListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if err := nc.(*net.TCPConn).SetWriteBuffer(4 << 10); err != nil {
		return nil, err
	}
	below := l.table.Track(nc, &conns.Origin{Network: "tcp", Address: "here"}, conns.New)
	first := tls13.Server(below, l.conf)
	if err := first.HandshakeContext(context.Background()); err != nil {
		return nil, err
	}
	return l.table.Secure(below, first, nil), nil
}

// secureResponse gives a handler what core does.
type secureResponse struct{ http.ResponseWriter }

func (w secureResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return nc.(*conns.Conn).Give(), rw, nil
}

// handoffTLS is handoff for TLS.
func (p *played) handoffTLS(c *conns.Conn, state []byte) error {
	over := c.Conn.(interface{ Seal() (*tls13.Sealed, error) })
	sealed, err := over.Seal()
	if f, ok := over.(*tls13.First); ok && errors.Is(err, tls13.ErrBusy) {
		if err := f.Complete(patience); err != nil {
			return err
		}
		sealed, err = over.Seal()
	}
	if err != nil {
		return err
	}
	defer sealed.Gone()
	nc, err := duplicate(c)
	if err != nil {
		return err
	}
	arrived, err := tls13.Adopt(nc, sealed.State())
	if err != nil {
		return err
	}
	c.Close()
	go p.next.adopt(p.next.tls.Adopt(arrived.Taken(), nil, wire.Conn{Name: p.name}, nil).Give(), state)
	return nil
}

// tlsClient is the socket of a client below its TLS. It can hold back the end of a record.
type tlsClient struct {
	net.Conn
	mu    sync.Mutex
	holds int // bytes of the next Write
	rest  []byte
}

func (c *tlsClient) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cut := len(b) - c.holds
	c.holds, c.rest = 0, bytes.Clone(b[cut:]) // crypto/tls uses b again
	if n, err := c.Conn.Write(b[:cut]); err != nil {
		return n, err
	}
	return len(b), nil
}

// dialSecure is dial for TLS up to a version; 0 is the latest.
func dialSecure(t *testing.T, addr, path string, version uint16) (*client, *tlsClient) {
	t.Helper()
	below := &tlsClient{Conn: must.Get(net.Dial("tcp", addr))(t)}
	return shake(t, tls.Client(below, &tls.Config{InsecureSkipVerify: true, ServerName: "chat.example", MaxVersion: version}), path, nil), below
}

// hold keeps the end of the next record back, and sendRest sends it.
func (c *tlsClient) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds = 5
}

func (c *tlsClient) sendRest(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	must.Get(c.Conn.Write(c.rest))(t)
}

// allPaused reports whether nothing is read from any connection any more.
func (p *played) allPaused() bool {
	return p.every(func(c *conn) bool { a := c.attempt.Load(); return a != nil && isClosed(a.paused) })
}

// TestMove_OverTLS: a half of a message goes along, and of a record, and the handler knows its TLS.
func TestMove_OverTLS(t *testing.T) {
	t.Parallel()
	process := func(name string) *played {
		return newPlayed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := Move(r)
			said := fmt.Sprintf("%s %v", name, s.Moved())
			if r.TLS != nil {
				said += " " + tls.VersionName(r.TLS.Version) + " " + r.TLS.ServerName
			}
			_ = onMessages(w, func(l *library, message string) error { return l.write(said + " " + message) })
		}))
	}
	first, second, third := process("first"), process("second"), process("third")
	first.next, second.next = second, third
	c, below := dialSecure(t, first.startSecure(), "/", 0)
	c.say("1")
	c.hears("first false TLS 1.3 chat.example 1")
	c.send(text("half")[:8])
	first.hasRead(len(text("1")) + 8)
	below.hold()
	c.send(text("half")[8:])
	first.leave()
	await(t, "nothing is read any more", first.allPaused)
	below.sendRest(t)
	c.hears("second true TLS 1.3 chat.example half")
	below.hold()
	c.say("2")
	second.leave()
	third.awaits(1)
	below.sendRest(t)
	c.hears("third true TLS 1.3 chat.example 2")
}

// TestMove_OverTLSNotTaken: the old process serves it on, and it moves in the next drain.
func TestMove_OverTLSNotTaken(t *testing.T) {
	t.Parallel()
	first, second := newPlayed(t, echo("first"), WithSpread(time.Hour)), newPlayed(t, echo("second"))
	first.next = second
	isServedOn(t, first, second, func() *client {
		c, _ := dialSecure(t, first.startSecure(), "/", 0)
		return c
	})
}

// TestMove_TLSThatCanNotMove: its client is told to reconnect.
func TestMove_TLSThatCanNotMove(t *testing.T) {
	t.Parallel()
	first := newPlayed(t, echo("first"))
	first.next = newPlayed(t, echo("second"))
	c, _ := dialSecure(t, first.startSecure(), "/", tls.VersionTLS12)
	c.say("1")
	c.hears("first 1")
	first.leave()
	c.ends(codeRestart)
	if log := first.log.String(); !strings.Contains(log, string(tls13.StaysVersion)) || strings.Contains(log, "is not taken") {
		t.Errorf("the log does not say that it stays, and why: %s", log)
	}
}

// TestMove_AWriteOverTLSIsNotInterrupted, because nothing could be written after it. The connection moves when the client
// has room.
func TestMove_AWriteOverTLSIsNotInterrupted(t *testing.T) {
	t.Parallel()
	const size = 30 << 10
	written := make(chan int, 1)
	first := newPlayed(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		l, err := upgrade(w)
		if err != nil {
			return
		}
		defer l.Close()
		for n := 0; ; n++ {
			if err := l.frame(2, true, append([]byte{byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, size-3)...)); err != nil {
				written <- n
				return
			}
		}
	}))
	first.next = newPlayed(t, echo("second"))
	c, _ := dialSecure(t, first.startSecure(), "/", 0)
	first.hangs()
	first.leave()
	await(t, "it is to be sealed", first.allSealing)
	time.Sleep(2 * hurryAfter) // for what must not happen
	c.say("after all")
	n := 0
	for op, got := c.next(); got != "second after all"; op, got = c.next() {
		if op != 1 || len(got) != size || int(got[0])<<16|int(got[1])<<8|int(got[2]) != n {
			t.Fatalf("message %d: opcode %d, %d bytes", n, op, len(got))
		}
		n++
	}
	if all := <-written; n != all {
		t.Errorf("%d messages of %d", n, all)
	}
}

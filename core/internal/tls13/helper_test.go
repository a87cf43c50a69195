package tls13

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// patience is for what is sure to come.
const patience = 20 * time.Second

var certificates = sync.OnceValue(func() []tls.Certificate {
	c, err := probeCertificate()
	if err != nil {
		panic(err)
	}
	return []tls.Certificate{c}
})

func serverConfig() *tls.Config {
	return &tls.Config{Certificates: certificates(), NextProtos: []string{"h2", "http/1.1"}}
}

func clientConfig() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "example.com"}
}

// sockets returns two connected TCP sockets, which end with the test.
func sockets(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	client = must.Get(net.Dial("tcp", ln.Addr().String()))(t).(*net.TCPConn)
	server = must.Get(ln.Accept())(t).(*net.TCPConn)
	for _, c := range []*net.TCPConn{server, client} {
		must.Do(t, c.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { _ = c.Close() })
	}
	return server, client
}

// shake shakes hands.
func shake(t testing.TB, server, client net.Conn, sc, cc *tls.Config) (*First, *tls.Conn) {
	t.Helper()
	f, c := Server(server, Config(sc)), tls.Client(client, cc)
	done := make(chan error, 1)
	go func() { done <- f.HandshakeContext(context.Background()) }()
	must.Do(t, c.Handshake())
	must.Do(t, <-done)
	return f, c
}

// movable is a First or a Conn.
type movable interface {
	net.Conn
	CloseWrite() error
	ConnectionState() tls.ConnectionState
	Seal() (*Sealed, error)
	Holds() bool
}

var _, _ movable = (*First)(nil), (*Conn)(nil)

// seal seals c as soon as nobody reads.
func seal(t testing.TB, c movable) *Sealed {
	t.Helper()
	return must.Get(c.Seal())(t)
}

// expectStays expects Seal to say why c stays.
func expectStays(t testing.TB, c movable, why error) {
	t.Helper()
	s, err := c.Seal()
	if !errors.Is(err, why) {
		t.Errorf("Seal = %v, want %v", err, why)
	}
	if err == nil {
		s.Refused()
	}
}

// move moves c to nc, which is the same socket.
func move(t testing.TB, c movable, nc net.Conn) *Conn {
	t.Helper()
	s := seal(t, c)
	defer s.Gone()
	return must.Get(Adopt(nc, s.State()))(t).Taken()
}

// say writes b to one end, and expects it at the other one.
func say(t testing.TB, from, to net.Conn, b []byte) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := from.Write(b)
		done <- err
	}()
	got := make([]byte, len(b))
	must.Get(io.ReadFull(to, got))(t)
	must.Do(t, <-done)
	if !bytes.Equal(got, b) {
		t.Fatalf("%d bytes have become others", len(b))
	}
}

// secrets is a KeyLogWriter that keeps all.
type secrets struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *secrets) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(b)
}

func (s *secrets) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.String()
}

// shakeKnown is shake with a client whose secrets are known.
func shakeKnown(t testing.TB, server, client net.Conn) (*First, *tls.Conn, *secrets) {
	t.Helper()
	conf, log := clientConfig(), new(secrets)
	conf.KeyLogWriter = log
	f, c := shake(t, server, client, serverConfig(), conf)
	return f, c, log
}

// pipes returns the two ends of a connection in memory, whose Writes do not wait.
func pipes() (a, b *pipe) {
	there, back := newStream(), newStream()
	return &pipe{in: back, out: there}, &pipe{in: there, out: back}
}

// pipe is one end.
type pipe struct {
	net.Conn
	in, out *stream
}

func (p *pipe) Read(b []byte) (int, error)       { return p.in.read(b) }
func (p *pipe) Write(b []byte) (int, error)      { return p.out.write(b) }
func (p *pipe) SetDeadline(time.Time) error      { return nil }
func (p *pipe) SetReadDeadline(time.Time) error  { return nil }
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
func (p *pipe) Close() error                     { p.in.end(); p.out.end(); return nil }

// stream is one direction.
type stream struct {
	more  *sync.Cond
	b     []byte
	ended bool
}

func newStream() *stream { return &stream{more: sync.NewCond(new(sync.Mutex))} }

func (s *stream) read(b []byte) (int, error) {
	s.more.L.Lock()
	defer s.more.L.Unlock()
	for len(s.b) == 0 {
		if s.ended {
			return 0, io.EOF
		}
		s.more.Wait()
	}
	n := copy(b, s.b)
	s.b = s.b[n:]
	return n, nil
}

func (s *stream) write(b []byte) (int, error) {
	s.more.L.Lock()
	defer s.more.L.Unlock()
	if s.ended {
		return 0, net.ErrClosed
	}
	s.b = append(s.b, b...)
	s.more.Broadcast()
	return len(b), nil
}

func (s *stream) end() {
	s.more.L.Lock()
	defer s.more.L.Unlock()
	s.ended = true
	s.more.Broadcast()
}

// halves returns the two directions of a connection as its client has them, at their beginning.
func (s *secrets) halves(t testing.TB) (client, server *half) {
	t.Helper()
	of := func(label string) *half {
		for line := range strings.Lines(s.String()) {
			if f := strings.Fields(line); f[0] == label {
				secret := must.Get(hex.DecodeString(f[2]))(t)
				for _, s := range suites {
					if s.secret == len(secret) {
						return must.Get(newHalf(s, secret, 0))(t)
					}
				}
			}
		}
		t.Fatalf("no %s", label)
		return nil
	}
	return of("CLIENT_TRAFFIC_SECRET_0"), of("SERVER_TRAFFIC_SECRET_0")
}

// sealAs encrypts a record whose head has that type, and whose content has its type and padding already.
func (h *half) sealAs(head byte, inner []byte) []byte {
	n := len(inner) + tagSize
	b := []byte{head, 3, 3, byte(n >> 8), byte(n)}
	nonce := h.nonceOf(h.seq)
	h.seq++
	return h.aead.Seal(b, nonce, inner, b)
}

// said is what records say.
type said struct {
	typ     byte
	content string
}

// understand decrypts records, and joins those of data.
func (h *half) understand(t testing.TB, b []byte) (all []said) {
	t.Helper()
	for len(b) > 0 {
		n := headSize + int(b[3])<<8 + int(b[4])
		inner, err := h.open(nil, b[:n])
		if err != nil {
			t.Fatalf("record %d: %v", h.seq, err)
		}
		h.seq++
		b = b[n:]
		s := said{inner[len(inner)-1], string(inner[:len(inner)-1])}
		if s.typ == typeHandshake && s.content[0] == messageKeyUpdate {
			must.Do(t, h.next())
		}
		if n := len(all); n > 0 && s.typ == typeData && all[n-1].typ == typeData {
			all[n-1].content += s.content
			continue
		}
		all = append(all, s)
	}
	return all
}

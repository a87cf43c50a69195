package conns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// SelfTest checks, once in a process, that net/http reads from its connections in the way that moving them
// relies on. With a net/http that does not, connections stay: nothing is lost, and clients reconnect.
var SelfTest = sync.OnceValue(func() error { return probeNetHTTP(readBuffer) })

// probeTime bounds the self-test, which takes about a millisecond.
const probeTime = 5 * time.Second

// probeNetHTTP sends requests to a server of net/http's and looks at its Reads, and at
// the deadlines that it has set before each since it last said idle:
//
//   - the first Read on a connection, and the one between two requests, has room for
//     size bytes if nothing of the next request is buffered, and for fewer if some is;
//   - the one between two requests comes after one deadline, and a Read for the rest of
//     a request of which four bytes were there already after more;
//   - while a handler runs there is a Read of one byte, which is buffered then;
//   - after io.EOF between two requests the connection is closed without a word.
func probeNetHTTP(size int) error {
	const (
		request = "POST / HTTP/1.1\r\nHost: probe\r\nContent-Length: 2\r\n\r\nok"
		chunked = "POST / HTTP/1.1\r\nHost: probe\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"
		line    = len("POST / HTTP/1.1\r\n")
	)
	p := newProbe()
	defer p.close()
	if err := p.expectRead("a new connection", probeRead{room: size}); err != nil {
		return err
	}
	for _, step := range []struct {
		what   string
		wire   string    // in one piece
		during string    // sent while the handler runs
		after  probeRead // none if the next handler runs at once
	}{
		{"nothing ahead", request, "", probeRead{size, 1}},
		{"one byte ahead", request + request[:1], "", probeRead{size - 1, 1}},
		{"three bytes ahead", request[1:] + request[:3], "", probeRead{size - 3, 1}},
		{"a byte while the handler runs", request[3:], request[:1], probeRead{size - 1, 1}},
		{"a line ahead", request[1:] + request[:line], "", probeRead{size, 2}},
		{"two requests", request[line:] + chunked, "", probeRead{}},
		{"chunked", "", "", probeRead{size, 1}},
	} {
		if err := p.ask(step.what, step.wire, step.during); err != nil {
			return err
		}
		if step.after == (probeRead{}) {
			continue
		}
		if err := p.expectRead(step.what, step.after); err != nil {
			return err
		}
	}
	return p.leave()
}

// probe is a connection to a server of net/http's whose Reads are watched. It is its
// own listener, which accepts once.
type probe struct {
	net.Conn                 // the server's end
	client    net.Conn       // the other one
	answers   *bufio.Reader  // from client
	reads     chan probeRead // each as it begins
	release   chan struct{}  // lets one handler end
	accepted  atomic.Bool
	leaving   atomic.Bool // Reads end with io.EOF
	words     atomic.Bool // something was written while leaving
	closed    chan struct{}
	closeOnce sync.Once
	deadlines atomic.Int32 // set since it was idle
}

// probeRead is a Read: its room, and how many deadlines preceded it.
type probeRead struct{ room, deadlines int }

func newProbe() *probe {
	p := &probe{reads: make(chan probeRead, 16), release: make(chan struct{}), closed: make(chan struct{})}
	p.Conn, p.client = net.Pipe()
	_ = p.client.SetDeadline(time.Now().Add(probeTime))
	p.answers = bufio.NewReader(p.client)
	srv := &http.Server{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-p.release:
			case <-p.closed:
			}
		}),
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ReadTimeout: probeTime,
		ConnState: func(_ net.Conn, st http.ConnState) {
			if st == http.StateIdle {
				p.deadlines.Store(0)
			}
		},
	}
	go func() { _ = srv.Serve((*probeListener)(p)) }()
	return p
}

// ask sends wire and, once net/http watches the connection, during; then it reads an answer.
func (p *probe) ask(what, wire, during string) error {
	if err := p.send(wire); err != nil {
		return fmt.Errorf("net/http, %s: %w", what, err)
	}
	select {
	case got := <-p.reads:
		if got.room != 1 {
			return fmt.Errorf("net/http, %s: a read of %d bytes while a handler runs", what, got.room)
		}
	case <-time.After(probeTime):
		return fmt.Errorf("net/http, %s: no read while a handler runs", what)
	}
	if err := p.send(during); err != nil {
		return fmt.Errorf("net/http, %s: %w", what, err)
	}
	select {
	case p.release <- struct{}{}:
	case <-time.After(probeTime):
		return fmt.Errorf("net/http, %s: no handler", what)
	}
	resp, err := http.ReadResponse(p.answers, nil)
	if err != nil {
		return fmt.Errorf("net/http, %s: %w", what, err)
	}
	return resp.Body.Close()
}

func (p *probe) send(s string) error {
	if s == "" {
		return nil // a pipe would pass that on
	}
	_, err := io.WriteString(p.client, s)
	return err
}

func (p *probe) expectRead(when string, want probeRead) error {
	select {
	case got := <-p.reads:
		// A request may have more deadlines, and the first one on a connection has been no rest.
		if got.room != want.room || want.deadlines > 0 && min(got.deadlines, 2) != want.deadlines {
			return fmt.Errorf("net/http, %s: a read of %d bytes after %d deadlines, not %d after %d",
				when, got.room, got.deadlines, want.room, want.deadlines)
		}
		return nil
	case <-time.After(probeTime):
		return fmt.Errorf("net/http, %s: no read", when)
	}
}

// leave ends the Read that waits for the next request as a move does.
func (p *probe) leave() error {
	p.leaving.Store(true)
	_ = p.Conn.SetReadDeadline(LongAgo)
	select {
	case <-p.closed:
	case <-time.After(probeTime):
		return errors.New("net/http: a connection is kept after its end")
	}
	if p.words.Load() {
		return errors.New("net/http: something is written after the end of a connection")
	}
	return nil
}

func (p *probe) close() {
	_ = p.Close()
	_ = p.client.Close()
}

// Read is the server's.
func (p *probe) Read(b []byte) (int, error) {
	p.reads <- probeRead{len(b), int(p.deadlines.Load())}
	n, err := p.Conn.Read(b)
	if p.leaving.Load() {
		return 0, io.EOF
	}
	return n, err
}

// SetReadDeadline is the server's.
func (p *probe) SetReadDeadline(t time.Time) error {
	p.deadlines.Add(1)
	return p.Conn.SetReadDeadline(t)
}

// Write is the server's.
func (p *probe) Write(b []byte) (int, error) {
	if p.leaving.Load() {
		p.words.Store(true)
	}
	return p.Conn.Write(b)
}

// Close is the server's, and its listener's.
func (p *probe) Close() error {
	p.closeOnce.Do(func() { close(p.closed) })
	return p.Conn.Close()
}

type probeListener probe

func (l *probeListener) Accept() (net.Conn, error) {
	if !l.accepted.Swap(true) {
		return (*probe)(l), nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *probeListener) Close() error   { return nil }
func (l *probeListener) Addr() net.Addr { return l.Conn.LocalAddr() }

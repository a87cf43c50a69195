package h2

import (
	"crypto/tls"
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

// probeTime bounds a probe, which takes less than a millisecond.
const probeTime = 5 * time.Second

// Probe tries, in memory, whether the net/http of this program speaks HTTP/2 behind the
// door and leaves as Conn relies on:
//
//   - it says SETTINGS first, and reads no more than a frame at a time once it has the preface;
//   - the first GOAWAY ends nothing: a stream that the client has opened before its answer to
//     the PING is served;
//   - a GOAWAY of the client's makes it say GOAWAY with the last stream that it has read and
//     no error, and it answers that stream, and those before it, afterwards too.
func Probe(d Door) error {
	p := newProbe(d)
	defer p.close()
	if err := p.run(); err != nil {
		return fmt.Errorf("net/http, HTTP/2 %v: %w", d, err)
	}
	return nil
}

// probe is the client of a server of net/http's. It is the server's listener, too, which accepts once.
type probe struct {
	nc     net.Conn // the client's end
	conn   *Conn    // the server's
	door   Door
	frames chan frame // the server's, as they come

	answers bool // SETTINGS and PING are acknowledged; set before there is a server

	accepted  atomic.Bool
	closed    chan struct{}
	closeOnce sync.Once
}

type frame struct {
	head    head
	payload []byte
}

func newProbe(d Door) *probe {
	return newProbeOf(d, newGreeted,
		&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(w, r.Body)
		})})
}

// newGreeted returns a connection of which nothing has been read.
func newGreeted(server net.Conn) *Conn { return New(server, len(Preface), 0, func() {}) }

// newProbeOf gives srv a connection, which it serves.
func newProbeOf(d Door, conn func(server net.Conn) *Conn, srv *http.Server) *probe {
	p := newProbeClient(conn)
	p.door = d
	srv.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = srv.Serve(p) }()
	return p
}

// newProbeClient makes one without a server.
func newProbeClient(conn func(server net.Conn) *Conn) *probe {
	server, client := net.Pipe()
	_ = client.SetDeadline(time.Now().Add(probeTime))
	p := &probe{nc: client, conn: conn(server), frames: make(chan frame, 32), closed: make(chan struct{})}
	go p.receive()
	return p
}

// receive reads the server's frames.
func (p *probe) receive() {
	defer close(p.frames)
	for {
		var f frame
		if _, err := io.ReadFull(p.nc, f.head[:]); err != nil {
			return
		}
		f.payload = make([]byte, f.head.size())
		if _, err := io.ReadFull(p.nc, f.payload); err != nil {
			return
		}
		if p.answers && (f.head.kind() == typeSettings || f.head.kind() == typePing) && !f.head.has(flagAck) {
			go p.answer(&f)
		}
		select {
		case p.frames <- f:
		case <-p.closed:
			return
		}
	}
}

// answer acknowledges a frame. The server may not read just now.
func (p *probe) answer(f *frame) {
	payload := f.payload
	if f.head.kind() == typeSettings {
		payload = nil
	}
	_, _ = p.nc.Write(appendFrame(nil, f.head.kind(), flagAck, 0, payload...))
}

// request is a header block: GET http://x/ or, with a body to come, POST. The numbers are
// of HPACK's static table (RFC 7541, appendix A).
func request(method byte) []byte { return []byte{method, 0x86, 0x84, 0x41, 1, 'x'} }

const (
	methodGet  = 0x82
	methodPost = 0x83
)

func (p *probe) run() error {
	hello := appendFrame([]byte(Preface), typeSettings, 0, 0)
	hello = appendFrame(hello, typeHeaders, flagEndHeaders, 1, request(methodPost)...)
	if _, err := p.nc.Write(hello); err != nil {
		return err
	}
	f, err := p.next("its SETTINGS", func(*frame) bool { return true })
	if err != nil {
		return err
	}
	if f.head.kind() != typeSettings {
		return fmt.Errorf("its first frame is of type %d", f.head.kind())
	}
	go p.conn.Leave(probeTime)
	f, err = p.next("the first GOAWAY", func(f *frame) bool { return f.head.kind() == typeGoAway })
	if err != nil {
		return err
	}
	if want := goAway(maxStream, 0)[headSize:]; string(f.payload) != string(want) {
		return fmt.Errorf("it says GOAWAY by itself: % x", f.payload)
	}
	f, err = p.next("the PING", func(f *frame) bool { return f.head.kind() == typePing && !f.head.has(flagAck) })
	if err != nil {
		return err
	}
	late := appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 3, request(methodGet)...)
	if _, err := p.nc.Write(appendFrame(late, typePing, flagAck, 0, f.payload...)); err != nil {
		return err
	}
	answered := map[uint32]bool{}
	f, err = p.next("the last GOAWAY", func(f *frame) bool {
		answered[f.head.stream()] = answered[f.head.stream()] || f.answers()
		return f.head.kind() == typeGoAway
	})
	if err != nil {
		return err
	}
	if want := goAway(3, 0)[headSize:]; string(f.payload) != string(want) {
		return fmt.Errorf("the last GOAWAY says % x, not % x", f.payload, want)
	}
	if _, err := p.nc.Write(appendFrame(nil, typeData, flagEndStream, 1, 'o', 'k')); err != nil {
		return err
	}
	for !answered[1] || !answered[3] {
		if f, err = p.next("an answer", (*frame).answers); err != nil {
			return err
		}
		answered[f.head.stream()] = true
	}
	return nil
}

// answers reports whether the frame is the end of an answer.
func (f *frame) answers() bool {
	return f.head.has(flagEndStream) && (f.head.kind() == typeHeaders || f.head.kind() == typeData)
}

// next returns the server's next frame that fits.
func (p *probe) next(what string, fits func(*frame) bool) (*frame, error) {
	for f := range p.frames {
		if fits(&f) {
			return &f, nil
		}
	}
	return nil, errors.New(what + " does not come")
}

func (p *probe) close() {
	_ = p.nc.Close()
	_ = p.Close()
	_ = p.conn.Close()
}

// Accept is the listener's.
func (p *probe) Accept() (net.Conn, error) {
	if p.accepted.Swap(true) {
		<-p.closed
		return nil, net.ErrClosed
	}
	if p.door != DoorState {
		return p.conn, nil
	}
	return stated{p.conn, tls.ConnectionState{
		HandshakeComplete: true, Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256, NegotiatedProtocol: "h2",
	}}, nil
}

// Close is the listener's.
func (p *probe) Close() error {
	p.closeOnce.Do(func() { close(p.closed) })
	return nil
}

// Addr is the listener's.
func (p *probe) Addr() net.Addr { return p.nc.LocalAddr() }

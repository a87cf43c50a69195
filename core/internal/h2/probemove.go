package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// Greet asks a server with the settings of srv, in memory, what it says first.
func Greet(srv *http.Server) (*Greeting, error) {
	p := newProbeOf(DoorClear, newGreeted,
		&http.Server{HTTP2: srv.HTTP2, MaxHeaderBytes: srv.MaxHeaderBytes, Handler: http.NotFoundHandler()})
	defer p.close()
	return p.greet()
}

// greet returns what the server says first.
func (p *probe) greet() (*Greeting, error) {
	hello := appendFrame([]byte(Preface), typeSettings, 0, 0)
	if _, err := p.nc.Write(appendFrame(hello, typePing, 0, 0, marker[:]...)); err != nil {
		return nil, err
	}
	g := &Greeting{Window: initialWindow}
	_, err := p.next("the answer to a PING", func(f *frame) bool {
		switch {
		case f.head.kind() == typeSettings && !f.head.has(flagAck):
			g.Settings.take(f.payload)
		case f.head.kind() == typeWindowUpdate && f.head.stream() == 0 && len(f.payload) == 4:
			g.Window += int64(binary.BigEndian.Uint32(f.payload))
		}
		return f.head.kind() == typePing
	})
	return g, err
}

// ProbeMove tries, in memory, whether a server of net/http's takes a connection over and gives it up as Conn
// relies on, at DoorClear:
//
//   - it takes the history for what it is: the connection's windows, and the client's header table, are those of the
//     State afterwards, and nothing of it reaches the client;
//   - its next header block makes the client forget what the other server had put into its table;
//   - frames that come late for a lower stream are frames for a closed one;
//   - it answers PING behind all that it has to say;
//   - io.EOF at a frame's beginning makes it close the connection without a word.
func ProbeMove() error {
	if err := probeMove(); err != nil {
		return fmt.Errorf("net/http, moving HTTP/2: %w", err)
	}
	return nil
}

// What the probe's connection is.
const (
	probeLast = 7
	probeDebt = 5000
)

var probeTable = []byte{
	sizeUpdate | 31, 0xe1, 0x1f, // 4096
	insertion, 3, 'x', '-', 'a', 3, 'o', 'n', 'e',
	insertion, 3, 'x', '-', 'b', huffman | 3, 0x49, 0x50, 0x9f, // "test" (RFC 7541, appendix B)
	insertion | 4, 4, '/', 'p', '/', 'm',
}

func probeMove() error {
	st := &State{Last: probeLast, Send: initialWindow - probeDebt, Receive: initialWindow, Table: probeTable}
	st.Client.set(settingFrameSize, frameSize)
	var p *probe
	taken := &probeTaker{offered: make(chan *State, 1)}
	ready, asked := make(chan struct{}), make(chan string, 1)
	p = newProbeOf(DoorClear, func(server net.Conn) *Conn { return Adopt(server, st, NetHTTP, func() {}) },
		&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-ready
			if p.conn.Answer(w, r) {
				return
			}
			asked <- r.URL.Path + " " + r.Header.Get("X-A") + " " + r.Header.Get("X-B")
			_, _ = w.Write(make([]byte, initialWindow))
		})})
	close(ready)
	defer p.close()

	// Late frames, and a request that is nothing but indices.
	send := appendFrame(nil, typeWindowUpdate, 0, 3, 0, 0, 0, 1)
	send = appendFrame(send, typeReset, 0, 5, 0, 0, 0, 8)
	send = appendFrame(send, typeHeaders, flagEndHeaders|flagEndStream, probeLast+2, 0x82, 0x86, 0xbe, 0xbf, 0xc0)
	if _, err := p.nc.Write(send); err != nil {
		return err
	}
	var block []byte
	size := 0
	var change Settings
	_, err := p.next("an answer that fills the window", func(f *frame) bool {
		switch f.head.kind() {
		case typeSettings:
			if !f.head.has(flagAck) {
				change.take(f.payload)
			}
		case typeHeaders:
			block = f.payload
		case typeData:
			size += len(f.payload)
		}
		return size >= initialWindow-probeDebt || f.head.kind() == typeReset
	})
	if err != nil {
		return err
	}
	if size != initialWindow-probeDebt {
		return fmt.Errorf("it sends %d bytes, and may send %d", size, initialWindow-probeDebt)
	}
	if !change.said[settingStreams] || change.said[settingNoPriorities] {
		return errors.New("it says other SETTINGS than expected")
	}
	if !bytes.HasPrefix(block, []byte{sizeUpdate, sizeUpdate | 31, 0xe1, 0x1f}) {
		return fmt.Errorf("its header block begins with % x", block[:min(4, len(block))])
	}
	if got := <-asked; got != "/p/m one test" {
		return fmt.Errorf("the request says %q", got)
	}
	// The rest comes when there is room for it; and the connection is at rest when its SETTINGS are acknowledged.
	more := appendFrame(nil, typeWindowUpdate, 0, 0, 0, 1, 0, 0)
	if _, err := p.nc.Write(appendFrame(more, typeSettings, flagAck, 0)); err != nil {
		return err
	}
	ended, err := p.next("the end of the answer", func(f *frame) bool {
		if f.head.kind() == typeData {
			size += len(f.payload)
		}
		return f.answers()
	})
	if err != nil {
		return err
	}
	if ended.head.stream() != probeLast+2 || size != initialWindow {
		return fmt.Errorf("the answer has %d bytes", size)
	}
	p.conn.Move(taken, Pace{Withhold: probeTime, Patience: probeTime})
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	select {
	case st = <-taken.offered:
	case <-ctx.Done():
		return errors.New("there is no moment to move in")
	}
	if want := uint32(initialWindow - probeDebt - initialWindow + 1<<16); st.Last != probeLast+2 || st.Send != want {
		return fmt.Errorf("the state is %d, %d, not %d, %d", st.Last, st.Send, probeLast+2, want)
	}
	for f := range p.frames {
		return fmt.Errorf("a frame of type %d follows", f.head.kind())
	}
	return nil
}

// probeTaker takes a connection.
type probeTaker struct{ offered chan *State }

func (t *probeTaker) Wants() bool  { return true }
func (t *probeTaker) Stays(string) {}

// Ready reports true: no TLS is below.
func (t *probeTaker) Ready() bool { return true }

func (t *probeTaker) Offer(st *State) bool {
	t.offered <- st
	return true
}

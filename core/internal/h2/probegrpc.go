package h2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
)

// GreetGRPC asks a server of grpc-go's what it says first. serve gives it a connection, whose addresses are addr.
func GreetGRPC(addr net.Addr, serve func(net.Conn)) (*Greeting, error) {
	p := newProbeClient(newGreeted)
	defer p.close()
	go serve(&probed{p.conn, addr})
	g, err := p.greet()
	if err == nil {
		g.Of = GRPC
	}
	return g, err
}

// probed is a connection of a process to itself.
type probed struct {
	*Conn
	addr net.Addr
}

func (c *probed) LocalAddr() net.Addr  { return c.addr }
func (c *probed) RemoteAddr() net.Addr { return c.addr }

// ProbeMoveGRPC is ProbeMove for a server of grpc-go's, which serve serves until Accept returns an error, as
// core.Upgrader.HTTP2Listener says:
//
//   - it takes the history for what it is, and nothing of it reaches the client;
//   - it sends no more than the client permits on the connection, and takes what the client may send, also if that is
//     more than it has said itself;
//   - its next header block says how large its header table is;
//   - frames that come late for a lower stream do no harm;
//   - io.EOF at a frame's beginning makes it close the connection without a word.
func ProbeMoveGRPC(serve func(net.Listener) error) error {
	if err := probeMoveGRPC(serve); err != nil {
		return fmt.Errorf("grpc-go, moving HTTP/2: %w", err)
	}
	return nil
}

const (
	probeSurplus = 1 << 20 // that the client may send more than the server knows
	probeBody    = 60_000  // of a call
	probeStream  = probeLast + 2
)

// probeHeaders are those of a call, whose indices are of probeTable.
func probeHeaders(stream uint32) []byte {
	const contentType = "application/grpc"
	block := []byte{methodPost, 0x86, 0xbe, 0xbf, 0xc0, 0x0f, 0x10, byte(len(contentType))}
	return appendFrame(nil, typeHeaders, flagEndHeaders, stream, append(block, contentType...)...)
}

// stringField begins a protobuf message with a string as its first field.
const stringField = 1<<3 | 2

// probeMessage is one message in frames.
func probeMessage(stream uint32) (b []byte) {
	const prefix, field = 5, 4
	left := binary.BigEndian.AppendUint32([]byte{0}, probeBody-prefix)
	left = binary.AppendUvarint(append(left, stringField), probeBody-prefix-field)
	for left = append(left, make([]byte, probeBody-len(left))...); len(left) > 0; {
		n, flags := min(len(left), frameSize), byte(0)
		if n == len(left) {
			flags = flagEndStream
		}
		b = appendFrame(b, typeData, flags, stream, left[:n]...)
		left = left[n:]
	}
	return b
}

func probeMoveGRPC(serve func(net.Listener) error) error {
	st := &State{Last: probeLast, Send: initialWindow - probeDebt, Receive: initialWindow + probeSurplus, Table: probeTable}
	st.Client.set(settingFrameSize, frameSize)
	st.Server.set(settingFrameSize, frameSize)
	p := newProbeClient(func(server net.Conn) *Conn { return Adopt(server, st, GRPC, func() {}) })
	p.answers = true
	defer p.close()
	go func() { _ = serve(p) }()

	// Late frames, and two calls whose bodies come at once.
	send := appendFrame(nil, typeWindowUpdate, 0, 3, 0, 0, 0, 1)
	send = appendFrame(send, typeReset, 0, 5, 0, 0, 0, 8)
	send = appendFrame(send, typeData, flagEndStream, 1, 'x')
	send = append(append(send, probeHeaders(probeStream)...), probeMessage(probeStream)...)
	send = append(append(send, probeHeaders(probeStream+2)...), probeMessage(probeStream+2)...)
	if _, err := p.nc.Write(send); err != nil {
		return err
	}
	received, text, sized := 0, map[uint32]string{}, false
	look := func(f *frame) error {
		switch id := f.head.stream(); {
		case f.head.kind() == typeGoAway, f.head.kind() == typeReset, f.head.kind() == typeWindowUpdate && id == 0:
			return fmt.Errorf("a frame of type %d says % x", f.head.kind(), f.payload)
		case id != 0 && id < probeStream:
			return fmt.Errorf("a frame of type %d is for stream %d", f.head.kind(), id)
		case f.head.kind() == typeHeaders && !sized:
			if sized = bytes.HasPrefix(f.payload, []byte{sizeUpdate | 31, 0xe0, 0x1f}); !sized { // 4095
				return fmt.Errorf("its header block begins with % x", f.payload[:min(4, len(f.payload))])
			}
		case f.head.kind() == typeData:
			received += len(f.payload)
			text[id] += string(f.payload[:min(len(f.payload), 64)])
		}
		return nil
	}
	await := func(what string, fits func(*frame) bool) error {
		var wrong error
		if _, err := p.next(what, func(f *frame) bool { wrong = look(f); return wrong != nil || fits(f) }); err != nil {
			return err
		}
		return wrong
	}
	if err := await("an answer that fills the window", func(*frame) bool { return received >= initialWindow-probeDebt }); err != nil {
		return err
	}
	if received != initialWindow-probeDebt {
		return fmt.Errorf("it sends %d bytes, and may send %d", received, initialWindow-probeDebt)
	}
	// The rest comes when there is room for it.
	if _, err := p.nc.Write(appendWindow(nil, 0, 2*initialWindow)); err != nil {
		return err
	}
	ended := 0
	if err := await("the end of the answers", func(f *frame) bool {
		if f.answers() {
			ended++
		}
		return ended == 2
	}); err != nil {
		return err
	}
	for id, got := range text {
		if !strings.Contains(got, "/p/m one test;") {
			return fmt.Errorf("the call on stream %d says %q", id, got)
		}
	}
	if received != 2*initialWindow {
		return fmt.Errorf("the answers have %d bytes", received)
	}
	return p.moveGRPC()
}

// moveGRPC has the connection move once more.
func (p *probe) moveGRPC() error {
	taken := &probeTaker{offered: make(chan *State, 1)}
	p.conn.Move(taken, Pace{Withhold: probeTime, Patience: probeTime})
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	var st *State
	for st == nil {
		select {
		case st = <-taken.offered:
		case f, ok := <-p.frames:
			switch {
			case !ok && len(taken.offered) == 0: // else it has moved, and ends here
				return errors.New("it ends the connection")
			case ok && f.head.kind() == typeGoAway:
				return errors.New("it says GOAWAY")
			}
		case <-ctx.Done():
			return errors.New("there is no moment to move in")
		}
	}
	if want := uint32(initialWindow - probeDebt); st.Last != probeStream+2 || st.Send != want {
		return fmt.Errorf("the state is %d, %d, not %d, %d", st.Last, st.Send, probeStream+2, want)
	}
	if n := st.Server.get(settingWindow); n != initialWindow && n != 0 { // 0: it was raised
		return fmt.Errorf("the window of its streams is %d", n)
	}
	for f := range p.frames {
		if f.head.kind() == typeSettings || f.head.kind() == typePing || f.head.kind() == typeWindowUpdate {
			continue // came before
		}
		return fmt.Errorf("a frame of type %d follows", f.head.kind())
	}
	return nil
}

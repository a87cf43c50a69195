package xnet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/must"
)

// script is any bytes, by which a conversation goes.
type script struct{ b []byte }

// next returns the next byte; 0 when there is none.
func (s *script) next() int {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return int(c)
}

// below returns a number below n.
func (s *script) below(n int) int { return s.next() % n }

// often reports true for three of four.
func (s *script) often() bool { return s.below(4) > 0 }

func (s *script) take(n int) []byte {
	n = min(n, len(s.b))
	b := s.b[:n]
	s.b = s.b[n:]
	return b
}

func pick[T any](s *script, of ...T) T { return of[s.below(len(of))] }

// wire is the client's end: what it has sent, and nothing more for now.
type wire struct {
	net.Conn
	in    bytes.Buffer
	out   bytes.Buffer
	piece int // of a Read at the most
}

var errNothing = errors.New("nothing for now")

func (w *wire) Read(b []byte) (int, error) {
	if w.in.Len() == 0 {
		return 0, errNothing
	}
	return w.in.Read(b[:min(len(b), w.piece)])
}

func (w *wire) Write(b []byte) (int, error) { return w.out.Write(b) }

// talk is a connection on which both sides say what a script wants. h2 follows it, and x/net.
type talk struct {
	t testing.TB
	*script
	wire    wire
	conn    *h2.Conn
	reading *reading

	held       []byte // of the client's: a frame that is not whole
	sent, told []byte // by the client, and to the server
	written    []byte // by the server

	frames [2]bytes.Buffer
	framer [2]*http2.Framer
	block  bytes.Buffer
	fields *hpack.Encoder
	stream uint32 // the client's next
}

func newTalk(t testing.TB, b []byte) *talk {
	k := &talk{t: t, script: &script{b}, reading: newReading(), stream: 1}
	k.wire.piece = 1 + k.next()
	k.conn = h2.New(&k.wire, 0, 0, func() {})
	for side := range k.framer {
		k.framer[side] = http2.NewFramer(&k.frames[side], nil)
		k.framer[side].AllowIllegalWrites = true
	}
	k.fields = hpack.NewEncoder(&k.block)
	k.fields.SetMaxDynamicTableSizeLimit(1 << 16)
	return k
}

// flush has a side say what its framer has written. What is left of the frame in the end comes with the next one.
func (k *talk) flush(side int) {
	b := bytes.Clone(k.frames[side].Bytes())
	k.frames[side].Reset()
	whole := k.reading.add(side, b)
	if side == server {
		for piece := 1 + k.next()*4; len(b) > 0; {
			n, err := k.conn.Write(b[:min(piece, len(b))])
			must.Do(k.t, err)
			k.written = append(k.written, b[:n]...)
			b = b[n:]
		}
		return
	}
	k.sent, k.held = append(k.sent, b...), append(k.held, b...)
	k.wire.in.Write(k.held[:whole])
	k.held = k.held[whole:]
	k.pump()
}

// pump has the server read what there is.
func (k *talk) pump() {
	b := make([]byte, 1+k.next()*4)
	for {
		n, err := k.conn.Read(b)
		k.told = append(k.told, b[:n]...)
		if err != nil {
			return
		}
	}
}

// openStream returns a stream for which a side is not at its end; 0 if there is none.
func (k *talk) openStream(side int) uint32 {
	var ids []uint32
	for id, ended := range k.reading.open {
		if !ended[side] {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return 0
	}
	slices.Sort(ids)
	return ids[k.below(len(ids))]
}

// settings are some that are valid, as most clients and servers say.
func (k *talk) someSettings() (all []http2.Setting) {
	for range k.below(4) {
		id := http2.SettingID(1 + k.below(10))
		v := uint32(k.next()) << k.below(24)
		switch id {
		case http2.SettingHeaderTableSize:
			v = pick(k.script, 0, 100, 4096, uint32(1<<16))
		case http2.SettingEnablePush, http2.SettingEnableConnectProtocol, http2.SettingNoRFC7540Priorities:
			v &= 1
		case http2.SettingMaxFrameSize:
			v = 1<<14 + v&0xfffff
		}
		all = append(all, http2.Setting{ID: id, Val: v})
	}
	return all
}

// header makes a header block by x/net's encoder.
func (k *talk) header() []byte {
	k.block.Reset()
	if k.below(8) == 0 {
		k.fields.SetMaxDynamicTableSize(pick(k.script, 0, 64, 200, 4096, uint32(10000), 1<<16))
	}
	for range k.below(6) {
		name := pick(k.script, ":path", "cookie", "x", "x-"+strings.Repeat("n", k.next()), "content-type", "\x00~")
		value := pick(k.script, "", "v", strings.Repeat("w", 4*k.next()), string(k.take(k.below(40))), "no-cache")
		must.Do(k.t, k.fields.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: k.below(8) == 0}))
	}
	return bytes.Clone(k.block.Bytes())
}

// headers writes a header block in frames.
func (k *talk) headers(side int, id uint32, block []byte, ends bool) {
	piece := len(block)
	if k.below(3) == 0 {
		piece = min(1+k.next(), piece)
	}
	p := http2.HeadersFrameParam{
		StreamID: id, BlockFragment: block[:piece], EndStream: ends, EndHeaders: piece == len(block),
	}
	if k.below(4) == 0 {
		p.PadLength = uint8(k.next())
	}
	if k.below(4) == 0 {
		p.Priority = http2.PriorityParam{StreamDep: uint32(k.next()), Weight: 3, Exclusive: true}
	}
	must.Do(k.t, k.framer[side].WriteHeaders(p))
	for block = block[piece:]; len(block) > 0; block = block[min(piece, len(block)):] {
		n := min(piece, len(block))
		must.Do(k.t, k.framer[side].WriteContinuation(id, n == len(block), block[:n]))
	}
}

func (k *talk) data(side int, id uint32) {
	size := pick(k.script, 0, 1, k.next(), 100*k.next())
	size = min(size, int(max(k.reading.window[side], 0)))
	if pad := k.next(); pad < 100 && int64(size+pad+1) <= k.reading.window[side] {
		must.Do(k.t, k.framer[side].WriteDataPadded(id, k.often(), make([]byte, size), make([]byte, pad)))
		return
	}
	must.Do(k.t, k.framer[side].WriteData(id, k.often(), make([]byte, size)))
}

// clientSays does one of the things that a client does.
func (k *talk) clientSays() {
	f := k.framer[client]
	says := k.below(16)
	if says > 13 && k.below(8) > 0 {
		says %= 14 // few scripts are to be without any other end
	}
	switch says {
	case 0, 1, 2:
		k.headers(client, k.stream, k.header(), k.often())
		k.stream += 2 + 2*uint32(k.below(2))
	case 3, 4:
		if id := k.openStream(client); id > 0 {
			k.data(client, id)
		}
	case 5:
		if id := k.openStream(client); id > 0 {
			k.headers(client, id, k.header(), true)
		}
	case 6:
		must.Do(k.t, f.WriteWindowUpdate(0, uint32(1+k.next())<<k.below(16)))
	case 7:
		must.Do(k.t, f.WriteWindowUpdate(k.openStream(server), uint32(1+k.next())))
	case 8:
		if id := k.openStream(k.below(2)); id > 0 {
			must.Do(k.t, f.WriteRSTStream(id, http2.ErrCodeCancel))
		}
	case 9:
		must.Do(k.t, f.WriteSettings(k.someSettings()...))
	case 10, 11:
		if k.reading.owed[server] > 0 || k.below(16) == 0 {
			must.Do(k.t, f.WriteSettingsAck())
		}
	case 12:
		must.Do(k.t, f.WritePing(k.reading.pings[server] > 0, [8]byte{byte(k.next())}))
	case 13:
		must.Do(k.t, f.WriteRawFrame(http2.FrameType(2+18*k.below(2)), 0, 1+2*uint32(k.below(3)), []byte{0, 0, 0, 0, 7}))
	case 14: // any header block
		k.headers(client, k.stream, k.take(k.next()), k.often())
		k.stream += 2
	case 15: // any frame, or a part of one
		f := binary.BigEndian.AppendUint32([]byte{0, 0, byte(k.next()), byte(k.below(12)), byte(k.next())}, uint32(k.below(8)))
		k.frames[client].Write(append(f, k.take(k.next())...))
	}
	k.flush(client)
}

// serverSays does one of the things that a server does.
func (k *talk) serverSays() {
	f, r := k.framer[server], k.reading
	switch k.below(10) {
	case 0, 1:
		if id := k.openStream(server); id > 0 {
			k.headers(server, id, k.take(k.below(30)), k.often())
		}
	case 2, 3:
		if id := k.openStream(server); id > 0 {
			k.data(server, id)
		}
	case 4:
		if id := k.openStream(k.below(2)); id > 0 {
			must.Do(k.t, f.WriteRSTStream(id, http2.ErrCodeNo))
		}
	case 5:
		must.Do(k.t, f.WriteWindowUpdate(0, uint32(min(int64(1+k.next())<<k.below(12), max(maxWindow-r.window[client], 1)))))
	case 6:
		if id := k.openStream(client); id > 0 {
			must.Do(k.t, f.WriteWindowUpdate(id, 1))
		}
	case 7, 8:
		if r.owed[client] > 0 {
			must.Do(k.t, f.WriteSettingsAck())
		} else if k.below(4) == 0 {
			must.Do(k.t, f.WriteSettings(k.someSettings()...))
		}
	case 9:
		if ack := r.pings[client] > 0; ack || k.below(4) == 0 {
			must.Do(k.t, f.WritePing(ack, [8]byte{byte(k.next())}))
		}
	}
	k.flush(server)
}

// tidy has both sides do what they owe, so that the connection can be at rest.
func (k *talk) tidy() {
	r := k.reading
	for ; r.owed[server] > 0 && r.bad == ""; k.flush(client) {
		must.Do(k.t, k.framer[client].WriteSettingsAck())
	}
	for ; r.pings[server] > 0 && r.bad == ""; k.flush(client) {
		must.Do(k.t, k.framer[client].WritePing(true, [8]byte{}))
	}
	for ; r.owed[client] > 0; k.flush(server) {
		must.Do(k.t, k.framer[server].WriteSettingsAck())
		if k.below(2) == 0 {
			break // it may acknowledge two by one
		}
	}
	for ; r.pings[client] > 0; k.flush(server) {
		must.Do(k.t, k.framer[server].WritePing(true, [8]byte{}))
	}
	for id := range r.open {
		must.Do(k.t, k.framer[server].WriteRSTStream(id, http2.ErrCodeNo))
	}
	k.flush(server)
}

// taker takes a connection.
type taker struct {
	st    *h2.State
	stays string
}

func (k *taker) Wants() bool      { return true }
func (k *taker) Stays(why string) { k.stays = why }
func (k *taker) Ready() bool      { return true }

func (k *taker) Offer(st *h2.State) bool {
	k.st = st
	return true
}

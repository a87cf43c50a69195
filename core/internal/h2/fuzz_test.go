package h2

import (
	"bytes"
	"net"
	"testing"
)

// memory is a connection whose client has said all that it says.
type memory struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (m *memory) Read(b []byte) (int, error)  { return m.in.Read(b) }
func (m *memory) Write(b []byte) (int, error) { return m.out.Write(b) }

// FuzzConn: whatever the two sides say, in pieces of any size, passes as it is, and the books hold a bounded amount of it.
func FuzzConn(f *testing.F) {
	header := appendFrame(nil, typeHeaders, 0, 1, 0x82, 0x86)
	f.Add(post(1, "/"), settings, byte(3))
	f.Add(append(header, appendFrame(nil, typeContinuation, flagEndHeaders, 1, 0x84)...), data, byte(1))
	f.Add(appendFrame(nil, typeHeaders, flagPadded|flagPriority, 1, 200, 1), appendFrame(nil, typeReset, 0, 1, 0, 0, 0, 0), byte(9))
	f.Add(appendFrame(nil, typeWindowUpdate, 0, 0, 0xff, 0xff, 0xff, 0xff), appendFrame(nil, typeWindowUpdate, 0, 0), byte(13))
	f.Add(appendFrame(nil, typePing, flagAck, 0, marker[:]...), appendFrame(nil, typePing, flagAck, 0, marker[:]...), byte(17))
	f.Add(appendFrame(nil, typeSettings, flagAck, 0), appendFrame(nil, typeSettings, 0, 0, 0, 3, 0, 0, 0), byte(255))
	f.Fuzz(func(t *testing.T, client, server []byte, size byte) {
		m := &memory{in: bytes.NewReader(client)}
		c := New(m, 0, 0, func() {})
		c.ServedBy(Transport(size % 2))
		piece := int(size) + 1
		for at := 0; at < len(server); at += piece {
			if n, err := c.Write(server[at:min(at+piece, len(server))]); err != nil || n == 0 {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		if !bytes.Equal(m.out.Bytes(), server) {
			t.Fatalf("the client reads % x, not % x", m.out.Bytes(), server)
		}
		var got []byte
		b := make([]byte, piece)
		for {
			n, err := c.Read(b)
			if got = append(got, b[:n]...); err != nil {
				break
			}
		}
		// A frame's header, or a PING, that is not complete is not the server's to see.
		if !bytes.HasPrefix(client, got) || len(client)-len(got) >= headSize+pingSize {
			if !bytes.Contains(client, appendFrame(nil, typePing, flagAck, 0, c.ping[:]...)) {
				t.Fatalf("the server reads % x, not % x", got, client)
			}
		}
		k := &c.books
		if len(k.block) > maxBlock || k.table.least > uint64(k.table.max) || len(c.payload) > maxBlock {
			t.Fatalf("it holds %d, %d and %d bytes", len(k.block), k.table.least, len(c.payload))
		}
		if rests, _ := k.rests(); rests {
			if st, err := ParseState(k.state().Append(nil)); err == nil {
				_ = Adopt(&memory{in: bytes.NewReader(nil)}, st, c.of, func() {})
			}
		}
	})
}

// FuzzWithhold: whatever the client says and whenever frames are withheld, the server gets all of it, and each stream's in
// order.
func FuzzWithhold(f *testing.F) {
	trailers := appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 1, 0x82)
	f.Add(append(post(1, "/"), append(post(3, "/"), trailers...)...), uint16(1), uint16(3))
	f.Add(append(post(1, "/"), append(post(3, "/"), body(3, 500)...)...), uint16(1), uint16(2))
	f.Add(append(post(1, "/"), append(appendFrame(nil, typeHeaders, 0, 3, 0x82), goAway(0, 0)...)...), uint16(0), uint16(9))
	f.Add(append(body(5, withholdMost/2), body(5, withholdMost)...), uint16(0), uint16(9))
	f.Fuzz(func(t *testing.T, client []byte, on, off uint16) {
		was, whole := byStream(client)
		client = client[:whole]
		c := New(&memory{in: bytes.NewReader(client)}, 0, 0, func() {})
		m := &moving{Taker: nobody{}}
		c.moving.Store(m)
		var got []byte
		b := make([]byte, 50)
		for n := uint16(0); ; n++ {
			if n == on || n == off {
				m.withholds.Store(n == on)
			}
			size, err := c.Read(b)
			if got = append(got, b[:size]...); err != nil {
				break
			}
			if len(c.withheld.b) > withholdMost+headSize {
				t.Fatalf("%d bytes are withheld", len(c.withheld.b))
			}
		}
		is, _ := byStream(got)
		for stream, want := range was {
			if !bytes.Equal(is[stream], want) {
				t.Fatalf("of stream %d the server reads % x, not % x", stream, is[stream], want)
			}
		}
	})
}

// nobody takes no connection.
type nobody struct{}

func (nobody) Wants() bool       { return false }
func (nobody) Offer(*State) bool { return false }
func (nobody) Stays(string)      {}
func (nobody) Ready() bool       { return true }

// byStream returns the frames of each stream, and how long the whole frames are together.
func byStream(b []byte) (streams map[uint32][]byte, whole int) {
	streams = map[uint32][]byte{}
	for len(b)-whole >= headSize {
		h := (*head)(b[whole:])
		end := whole + headSize + h.size()
		if end > len(b) {
			break
		}
		streams[h.stream()] = append(streams[h.stream()], b[whole:end]...)
		whole = end
	}
	return streams, whole
}

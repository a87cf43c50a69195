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
				_ = Adopt(&memory{in: bytes.NewReader(nil)}, st, func() {})
			}
		}
	})
}

package h2

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// below is a connection below a Conn.
type below struct {
	net.Conn
	reads  int
	says   func(b []byte) error // writes as the client
	onRead func(n int, err error) (int, error)
}

func (c *below) Read(b []byte) (int, error) {
	c.reads++
	n, err := c.Conn.Read(b)
	if c.onRead != nil {
		return c.onRead(n, err)
	}
	return n, err
}

// served is a connection whose server is the test, and the client's end, which says all of that at once.
func served(t *testing.T, says ...[]byte) (*Conn, *below) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	must.Do(t, client.SetDeadline(time.Now().Add(patience)))
	must.Do(t, server.SetDeadline(time.Now().Add(patience)))
	nc := &below{Conn: server, says: func(b []byte) error {
		_, err := client.Write(b)
		return err
	}}
	go func() { _ = nc.says(bytes.Join(says, nil)) }()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	return New(nc, 0, 0, func() {}), nc
}

// expect reads a frame as net/http does.
func expect(t *testing.T, c *Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got[:headSize])
	if err == nil {
		_, err = io.ReadFull(c, got[headSize:])
	}
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read % x, %v; want % x", got, err, want)
	}
}

// endOfAnswer is the end of an answer.
func endOfAnswer(stream uint32) []byte {
	return appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, stream, 0x88)
}

// TestReadAhead reads what there is at once, and what is large past the buffer.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	ping := appendFrame(nil, typePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	says := [][]byte{settings, post(1, "/1"), body(1, 100), ping, post(3, "/3"), body(3, frameSize)}
	c, nc := served(t, says...)
	for i, f := range says {
		if expect(t, c, f); i < len(says)-1 && nc.reads != 1 {
			t.Errorf("%d reads for %d frames", nc.reads, i+1)
		}
	}
	if nc.reads != 2 {
		t.Errorf("%d reads", nc.reads)
	}
}

// TestReadAhead_EndsWithTheConnection: what comes together with an error, as crypto/tls has it at close_notify, is read before.
func TestReadAhead_EndsWithTheConnection(t *testing.T) {
	t.Parallel()
	c, nc := served(t, settings, post(1, "/1"))
	nc.onRead = func(n int, err error) (int, error) { return n, io.EOF }
	expect(t, c, settings)
	expect(t, c, post(1, "/1"))
	nc.onRead = func(int, error) (int, error) { return 0, io.EOF }
	_ = nc.Close()
	if _, err := c.Read(make([]byte, headSize)); !errors.Is(err, io.EOF) {
		t.Errorf("it goes on: %v", err)
	}
}

// TestReadAhead_IsTheServers: a connection does not move before its server has what was read ahead, and then it does.
func TestReadAhead_IsTheServers(t *testing.T) {
	t.Parallel()
	c, nc := served(t, settings, post(1, "/1"))
	expect(t, c, settings)
	must.Get(c.Write(settingsAck))(t) // it rests, as far as its server knows
	taken := &probeTaker{offered: make(chan *State, 1)}
	c.Move(taken, Pace{Patience: patience})
	expect(t, c, post(1, "/1"))
	go func() { _ = nc.says(append(body(1, 10), post(3, "/3")...)) }()
	expect(t, c, body(1, 10))
	if n := len(c.read.left); n > 0 {
		t.Errorf("it is to move, and %d bytes are read ahead", n)
	}
	expect(t, c, post(3, "/3"))
	go func() { _ = nc.says(body(3, 10)) }()
	expect(t, c, body(3, 10))
	must.Get(c.Write(append(endOfAnswer(1), endOfAnswer(3)...)))(t)
	if _, err := c.Read(make([]byte, headSize)); !errors.Is(err, io.EOF) {
		t.Errorf("it goes on: %v", err)
	}
	if st := <-taken.offered; st.Last != 3 || len(st.Held) > 0 {
		t.Errorf("%+v", st)
	}
}

// TestReadAhead_IsWithheld in its order: a frame of which a part was read ahead goes along whole.
func TestReadAhead_IsWithheld(t *testing.T) {
	t.Parallel()
	later := append(post(3, "/3"), body(3, aheadSize)...)
	c, _ := served(t, settings, post(1, "/1"), later, body(1, 10))
	expect(t, c, settings)
	must.Get(c.Write(settingsAck))(t)
	expect(t, c, post(1, "/1"))
	taken := &probeTaker{offered: make(chan *State, 1)}
	c.Move(taken, Pace{Patience: patience})
	c.moving.Load().withholds.Store(true)
	expect(t, c, body(1, 10))
	must.Get(c.Write(endOfAnswer(1)))(t)
	if _, err := c.Read(make([]byte, headSize)); !errors.Is(err, io.EOF) {
		t.Errorf("it goes on: %v", err)
	}
	if st := <-taken.offered; st.Last != 1 || !bytes.Equal(st.Held, later) {
		t.Errorf("%d, % x", st.Last, st.Held)
	}
}

// TestReadAhead_NotOverTLS: a record is in memory anyway.
func TestReadAhead_NotOverTLS(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	for nc, off := range map[net.Conn]bool{server: false, tls.Server(server, new(tls.Config)): true, &stated{Conn: server}: true} {
		if c := New(nc, 0, 0, func() {}); c.read.off != off {
			t.Errorf("over a %T: %v", nc, c.read.off)
		}
	}
}

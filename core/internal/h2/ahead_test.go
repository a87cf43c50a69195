package h2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// counted counts how often it is read from.
type counted struct {
	net.Conn
	reads int
}

func (c *counted) Read(b []byte) (int, error) {
	c.reads++
	return c.Conn.Read(b)
}

// served is a connection whose server is the test, and the client's end, which says all of that at once.
func served(t *testing.T, says ...[]byte) (*Conn, *counted) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	must.Do(t, client.SetDeadline(time.Now().Add(patience)))
	must.Do(t, server.SetDeadline(time.Now().Add(patience)))
	go func() { _, _ = client.Write(bytes.Join(says, nil)) }()
	go func() { _, _ = io.Copy(io.Discard, client) }()
	below := &counted{server, 0}
	return New(below, 0, 0, func() {}), below
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

// TestReadAhead reads what there is at once.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	ping := appendFrame(nil, typePing, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	says := [][]byte{settings, post(1, "/1"), body(1, 100), ping, post(3, "/3")}
	c, below := served(t, says...)
	for _, f := range says {
		expect(t, c, f)
	}
	if below.reads != 1 {
		t.Errorf("%d reads", below.reads)
	}
}

// TestReadAhead_IsTheServers: a connection does not move before its server has what was read ahead, and then it does.
func TestReadAhead_IsTheServers(t *testing.T) {
	t.Parallel()
	request := append(post(1, "/1"), body(1, 2*aheadSize)...)
	ack := appendFrame(nil, typeSettings, flagAck, 0)
	c, _ := served(t, settings, request[:len(request)-aheadSize], request[len(request)-aheadSize:])
	expect(t, c, settings)
	must.Get(c.Write(ack))(t) // it rests, as far as its server knows
	taken := &probeTaker{offered: make(chan *State, 1)}
	c.Move(taken, Pace{Patience: patience})
	expect(t, c, post(1, "/1"))
	expect(t, c, body(1, 2*aheadSize))
	must.Get(c.Write(appendFrame(nil, typeHeaders, flagEndHeaders|flagEndStream, 1, 0x88)))(t)
	if _, err := c.Read(make([]byte, headSize)); !errors.Is(err, io.EOF) {
		t.Errorf("it goes on: %v", err)
	}
	if st := <-taken.offered; st.Last != 1 || len(st.Held) > 0 {
		t.Errorf("%+v", st)
	}
}

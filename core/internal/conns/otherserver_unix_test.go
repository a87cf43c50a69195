//go:build unix

package conns

import (
	"errors"
	"net"
	"testing"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestEndSide: a server that is not net/http's takes no more connections over when it has accepted all that have moved to
// it, and not before.
func TestEndSide(t *testing.T) {
	t.Parallel()
	table, over := NewTable(NewGoodbye()), make(chan struct{})
	s := &Side{From: &Origin{}, Over: over, Moves: func() error { return nil }, Follow: func(c *Conn, f *h2.Conn) { c.Carries(f) }}
	end := func() { close(over) }
	adopt := func() *Conn {
		nc, client := net.Pipe()
		t.Cleanup(func() { nc.Close(); client.Close() })
		return table.Adopt(nc, s, wire.Conn{}, &h2.State{})
	}
	c := adopt()
	if table.EndSide(s, end) {
		t.Fatal("a connection has not been accepted")
	}
	c.AcceptHTTP2()
	if !table.EndSide(s, end) {
		t.Fatal("it has been, and does not move")
	}
	if adopt() != nil {
		t.Error("one more is taken over")
	}
}

// TestSide_Takes: a server that speaks HTTP/2 alone takes no other connection, and parks none.
func TestSide_Takes(t *testing.T) {
	t.Parallel()
	s := &Side{Greeting: func() (*h2.Greeting, error) { return &h2.Greeting{Of: h2.GRPC}, nil }}
	if !errors.Is(s.Takes(nil), ErrNoHTTP1) || s.Takes(&h2.State{Receive: 1}) != nil || s.Parks() {
		t.Errorf("%v, %v, %v", s.Takes(nil), s.Takes(&h2.State{}), s.Parks())
	}
}

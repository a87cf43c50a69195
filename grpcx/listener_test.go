package grpcx

import (
	"net"
	"testing"
	"time"
)

// deadlined is a connection that keeps its deadline.
type deadlined struct {
	net.Conn
	due    time.Time
	closed bool
}

func (d *deadlined) SetDeadline(t time.Time) error { d.due = t; return nil }
func (d *deadlined) Close() error                  { d.closed = true; return nil }

// TestConn_OverTLS: what grpc does with the connection that it has accepted is done with the one over TLS, from the end of
// the handshake on. What stands between that and the socket has to know of deadlines.
func TestConn_OverTLS(t *testing.T) {
	t.Parallel()
	below, over, ready := new(deadlined), new(deadlined), 0
	c := &conn{Conn: below, ready: func() { ready++ }}
	due := time.Unix(1e9, 0)
	if err := c.SetDeadline(due); err != nil || !below.due.Equal(due) || ready > 0 {
		t.Errorf("the deadline is %v, %v", below.due, err)
	}
	if err := c.becomes(over); err != nil || !over.due.Equal(due) {
		t.Errorf("the limit of time for the client's first words is %v, %v", over.due, err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil || !over.due.IsZero() || !below.due.Equal(due) || ready != 1 {
		t.Errorf("deadlines %v and %v, %v", over.due, below.due, err)
	}
	if err := c.Close(); err != nil || !over.closed || below.closed {
		t.Error("it does not close the one over TLS")
	}
}

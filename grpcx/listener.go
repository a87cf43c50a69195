package grpcx

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// listener knows the connections whose handshake is under way. GracefulStop closes those that it has not looked at yet,
// and waits for a client that says nothing before it tells the others to leave, for 120 s by default
// (grpc.ConnectionTimeout).
type listener struct {
	net.Listener
	accepts chan struct{} // closed by the first Accept
	begin   func()        // closes it
	stopped func()        // is called before Close

	under   sync.WaitGroup // handshakes
	mu      sync.Mutex
	unready map[*conn]struct{}
}

func newListener(ln net.Listener, stopped func()) *listener {
	accepts := make(chan struct{})
	return &listener{
		Listener: ln, accepts: accepts, begin: sync.OnceFunc(func() { close(accepts) }),
		stopped: stopped, unready: make(map[*conn]struct{}),
	}
}

// begun reports whether grpc has begun to accept.
func (l *listener) begun() bool {
	select {
	case <-l.accepts:
		return true
	default:
		return false
	}
}

// Accept returns a connection that counts as under way until grpc has shaken hands.
func (l *listener) Accept() (net.Conn, error) {
	l.begin()
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc}
	l.under.Add(1)
	l.mu.Lock()
	l.unready[c] = struct{}{}
	l.mu.Unlock()
	c.ready = sync.OnceFunc(func() {
		l.mu.Lock()
		delete(l.unready, c)
		l.mu.Unlock()
		l.under.Done()
	})
	return c, nil
}

// Close is grpc's: the program has called GracefulStop or Stop, or core has closed the listener.
func (l *listener) Close() error {
	l.stopped()
	return l.Listener.Close()
}

// awaitHandshakes waits until none is under way, and ends those that take longer than that.
func (l *listener) awaitHandshakes(limit time.Duration) {
	defer time.AfterFunc(limit, l.closeUnready).Stop()
	l.under.Wait()
}

func (l *listener) closeUnready() {
	l.mu.Lock()
	var list []*conn
	for c := range l.unready {
		list = append(list, c)
	}
	l.mu.Unlock()
	for _, c := range list {
		_ = c.Close()
	}
}

// conn is a connection of grpc's.
type conn struct {
	net.Conn // as it was accepted
	ready    func()

	mu   sync.Mutex
	due  time.Time // its deadline
	over net.Conn  // it over TLS; or nil
}

// becomes says that the connection is over TLS from here on. What grpc does with the one below holds for that.
func (c *conn) becomes(over net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = over
	return over.SetDeadline(c.due)
}

// top returns the connection, or that over it.
func (c *conn) top() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return c.over
	}
	return c.Conn
}

// SetDeadline sets a deadline. grpc takes that of the handshake away when the handshake is over, failed or not.
func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.ready()
	}
	c.mu.Lock()
	c.due = t
	c.mu.Unlock()
	return c.top().SetDeadline(t)
}

// Close closes it.
func (c *conn) Close() error {
	c.ready()
	return c.top().Close()
}

// SyscallConn gives credentials and channelz access to the socket.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

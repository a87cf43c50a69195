package tls13

import (
	"crypto/fips140"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a TLS 1.3 connection of a server that another process has handed over. Make it with Adopt and Taken. Any goroutine
// may call the methods.
type Conn struct {
	below   net.Conn
	info    tls.ConnectionState
	retried bool // a part of info, also where Go has no field for it
	in      incoming
	out     outgoing
	calls   calls
}

// incoming is what comes from the client. Its mutex is held while something is read, and while the connection is sealed.
type incoming struct {
	mu      sync.Mutex
	half    *half
	err     error             // sticky
	early   []byte            // ciphertext that the process before has read
	buf     *[bufferSize]byte // nil while nothing is in it
	r, w    int               // the ciphertext in buf
	plain   []byte            // opened and not read: in buf before r, or what the process before has opened
	message [4]byte           // the beginning of a handshake message
	have    int               // bytes of it
	useless int               // records and messages without data, one after the other
	demand  demand
	holds   atomic.Bool // see Holds
}

// outgoing is what goes to the client. Its mutex is held while something is written, and while the connection is sealed.
type outgoing struct {
	mu    sync.Mutex
	half  *half  // nil while the connection is sealed, and when nothing more is written
	limit uint64 // of records with one key
	err   error  // sticky
	shut  bool   // close_notify was sent
	told  error  // what came of that
}

// Arrived is a connection that the process before does not know to be taken. It can be used when that has been told so:
// until then it may write itself.
type Arrived struct{ conn *Conn }

// Taken returns the connection, which is this process's from here on.
func (a *Arrived) Taken() *Conn { return a.conn }

// Drop clears the secrets of a connection that is refused. It does nothing to the socket.
func (a *Arrived) Drop() {
	a.conn.in.end(net.ErrClosed)
	_ = a.conn.out.end(net.ErrClosed)
}

// ConnectionState returns what the handshake has brought about.
func (a *Arrived) ConnectionState() tls.ConnectionState { return a.conn.info }

// Format keeps the secrets out of any text.
func (*Arrived) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[TLS connection]") }

// Adopt makes a connection of what another process has said of it, and nc, which is its socket. It keeps nothing of state,
// which is a secret: the caller clears it. An error says that the connection can't go on here. Nothing is read or written,
// and nc is the caller's until Taken.
func Adopt(nc net.Conn, state []byte) (*Arrived, error) {
	st, err := parse(state)
	if err != nil {
		return nil, err
	}
	defer st.wipe()
	c := &Conn{below: nc, info: st.info, retried: st.retried}
	if c.in.half, err = newHalf(st.suite, st.read.secret[:st.suite.secret], st.read.seq); err != nil {
		return nil, err
	}
	if c.out.half, err = newHalf(st.suite, st.write.secret[:st.suite.secret], st.write.seq); err != nil {
		return nil, err
	}
	c.out.limit = keyLimit
	c.in.early, c.in.plain = st.cipher, st.plain
	c.in.have, c.in.useless = copy(c.in.message[:], st.message), st.useless
	c.in.demand.init(nc, &c.in)
	c.in.notes()
	return &Arrived{c}, nil
}

// Check returns an error if Adopt would. It reports whether the process before has read something that the client has sent
// and nobody has had: then the connection must not wait until its socket can be read.
func Check(state []byte) (holds bool, err error) {
	st, err := parse(state)
	if err != nil {
		return false, err
	}
	st.wipe()
	return len(st.plain) > 0 || len(st.cipher) > 0, nil
}

// usable returns why no connection can be adopted here; nil if it can.
func usable() error {
	if fips140.Enabled() {
		return stays(StaysFIPS)
	}
	return nil
}

// Format keeps the secrets out of any text.
func (*Conn) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[TLS connection]") }

// ConnectionState returns what the handshake has brought about.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.info }

// NetConn returns the connection below, as tls.Conn.NetConn does.
func (c *Conn) NetConn() net.Conn { return c.below }

// SyscallConn gives access to the descriptor where there is one.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return syscallConn(c.below) }

func syscallConn(nc net.Conn) (syscall.RawConn, error) {
	if sc, ok := nc.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.ENOTSUP
}

// LocalAddr returns the local address.
func (c *Conn) LocalAddr() net.Addr { return c.below.LocalAddr() }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.below.RemoteAddr() }

// SetDeadline is for Read and Write. After a Write has timed out all later ones fail.
func (c *Conn) SetDeadline(t time.Time) error { return c.below.SetDeadline(t) }

// SetReadDeadline is for Read. After a Read has timed out another one can succeed.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.below.SetReadDeadline(t) }

// SetWriteDeadline is for Write. After a Write has timed out all later ones fail.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.below.SetWriteDeadline(t) }

// Holds reports, while a Read waits, whether something that the client has sent is here already and not read.
func (c *Conn) Holds() bool { return c.in.holds.Load() }

// Whole reports true: the parts of a record move.
func (c *Conn) Whole() bool { return true }

// Close says goodbye to the client, and closes the connection. While a Write is under way, while the connection is sealed,
// and after it has moved, it does no more than close the descriptor. A second call returns net.ErrClosed.
func (c *Conn) Close() error {
	silent, err := c.calls.close()
	if err != nil {
		return err
	}
	if !silent {
		// If somebody else is about to write an alert, that is not waited for without a limit.
		_ = c.below.SetWriteDeadline(time.Now().Add(goodbyeTime))
		c.out.mu.Lock()
		err = c.goodbye()
		c.out.mu.Unlock()
	}
	if closed := c.below.Close(); closed != nil {
		return closed
	}
	c.forget()
	if err != nil {
		return fmt.Errorf("tls: failed to send closeNotify alert (but connection was closed anyway): %w", err)
	}
	return nil
}

// forget clears the secrets of a connection that is closed. Who reads or writes at that moment does so afterwards.
func (c *Conn) forget() {
	if c.in.mu.TryLock() {
		c.in.end(net.ErrClosed)
		c.in.mu.Unlock()
	}
	if c.out.mu.TryLock() {
		_ = c.out.end(net.ErrClosed)
		c.out.mu.Unlock()
	}
}

// CloseWrite sends close_notify, and lets the client go on sending. Writes fail from then on.
func (c *Conn) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.goodbye()
}

// Seal ends reading and writing, and returns the state of the connection for another process. ErrBusy says that somebody
// reads or writes, a StaysError that the connection does not move. Then it goes on. While it is sealed, Reads and Writes
// wait, whatever their deadlines.
func (c *Conn) Seal() (*Sealed, error) {
	if !c.in.mu.TryLock() {
		return nil, ErrBusy
	}
	if !c.out.mu.TryLock() {
		c.in.mu.Unlock()
		return nil, ErrBusy
	}
	s, err := c.seal()
	if err != nil {
		c.out.mu.Unlock()
		c.in.mu.Unlock()
	}
	return s, err
}

// seal is Seal with both mutexes held. They stay so if there is no error.
func (c *Conn) seal() (*Sealed, error) {
	in, out := &c.in, &c.out
	if in.err != nil || out.err != nil || out.shut || !c.calls.seal(true) {
		return nil, stays(StaysClosing)
	}
	st := &state{
		suite: in.half.suite, info: c.info, retried: c.retried, useless: in.useless,
		cipher: in.ciphertext(), plain: in.plain, message: in.message[:in.have],
	}
	st.read.set(in.half)
	st.write.set(out.half)
	defer st.wipe()
	b, err := st.append()
	if err != nil {
		c.calls.seal(false)
		return nil, err
	}
	half := out.half
	out.half = nil // nobody can encrypt
	return &Sealed{
		state: b,
		back: func() {
			out.half = half
			if open := c.calls.seal(false); !open {
				_ = out.end(net.ErrClosed)
				in.end(net.ErrClosed)
			}
			out.mu.Unlock()
			in.mu.Unlock()
		},
		gone: func() {
			half.wipe()
			_ = out.end(net.ErrClosed)
			in.end(io.EOF)
			out.mu.Unlock()
			in.mu.Unlock()
		},
	}, nil
}

// calls decides between Close, Write and Seal, which may come at the same time. The zero value is an open connection.
type calls struct {
	mu     sync.Mutex
	closed bool
	sealed bool // or it has moved
	writes int  // that are under way
}

// close notes a Close, and reports whether that is to say nothing to the client.
func (c *calls) close() (silent bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true, net.ErrClosed
	}
	c.closed = true
	// A Close during a Write is there to end that, and must not wait for it: crypto/tls, Conn.Close.
	return c.sealed || c.writes > 0, nil
}

// seal notes that the connection is sealed, or is no more. It reports false if it is closed, and leaves it as it is.
func (c *calls) seal(on bool) (open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.sealed = on
	}
	return !c.closed
}

// write notes that a Write begins. It reports false if the connection is closed.
func (c *calls) write() (open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.writes++
	}
	return !c.closed
}

// written notes that it has ended, and reports whether the connection is closed.
func (c *calls) written() (closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes--
	return c.closed
}

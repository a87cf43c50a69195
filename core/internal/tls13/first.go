package tls13

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// First is a connection in the process that shakes hands. crypto/tls speaks on it, as its server. Make it with Server or
// ServerBy. Any goroutine may call the methods.
type First struct {
	conn  *tls.Conn
	low   *lower
	calls calls

	stays atomic.Pointer[Reason] // why it does not move; nil if it can

	reads  sync.Mutex // held while something is read, and while the connection is sealed
	plain  []byte     // crypto/tls has given it out, and it was not read
	ended  error      // nothing more is read
	writes sync.Mutex // held while something is written, and while the connection is sealed
	moved  bool       // nothing more is written
}

// Server returns a connection over nc, whose client begins a handshake. The conf is of Config; with another one the
// connection does not move.
func Server(nc net.Conn, conf *tls.Config) *First {
	l := &lower{Conn: nc, told: new(told)}
	f := &First{conn: tls.Server(l, conf), low: l}
	f.note(StaysHandshake)
	return f
}

func (f *First) note(why Reason) { f.stays.Store(&why) }

// Format keeps the secrets out of any text.
func (*First) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[TLS connection]") }

// HandshakeContext is tls.Conn's. It has to come before any Read or Write, and it can be repeated.
func (f *First) HandshakeContext(ctx context.Context) error {
	f.reads.Lock()
	defer f.reads.Unlock()
	if why := f.stays.Load(); why == nil || *why != StaysHandshake {
		return f.conn.HandshakeContext(ctx)
	}
	err := f.conn.HandshakeContext(ctx)
	if err != nil {
		f.low.forget()
		return err
	}
	f.noteShaken()
	return nil
}

// noteShaken notes that the handshake is over, and whether the connection can move. The secrets of one that can't are
// forgotten.
func (f *First) noteShaken() {
	if why := f.judge(); why != "" {
		f.low.forget()
		f.note(why)
	} else {
		f.stays.Store(nil)
	}
}

// judge returns why the connection does not move, when the handshake is over; "" if it can.
func (f *First) judge() Reason {
	whole := f.low.finish()
	cs := f.conn.ConnectionState()
	s := suiteOf(cs.CipherSuite)
	f.low.mu.Lock()
	defer f.low.mu.Unlock()
	switch {
	case usable() != nil:
		return StaysFIPS
	case cs.Version != tls.VersionTLS13:
		return StaysVersion
	case s == nil:
		return StaysSuite
	case f.low.told.client.size != s.secret || f.low.told.server.size != s.secret:
		return StaysSecrets
	case !whole:
		return StaysOther
	}
	return ""
}

// Stays returns why the connection does not move, as far as that is known before Seal; nil if it can.
func (f *First) Stays() error {
	if why := f.stays.Load(); why != nil {
		return stays(*why)
	}
	return nil
}

// TLS returns crypto/tls's connection. It is for looking at. Who writes to it or closes it at the very moment at which the
// connection moves waits, and gets an error then.
func (f *First) TLS() *tls.Conn { return f.conn }

// Over puts it over nc, which is below the connection that it was made over: what that is for is done. Nobody else may use it
// meanwhile, so the time for it is the end of the handshake.
func (f *First) Over(nc net.Conn) { f.low.Conn = nc }

// ConnectionState returns what the handshake has brought about.
func (f *First) ConnectionState() tls.ConnectionState { return f.conn.ConnectionState() }

// NetConn returns the connection below crypto/tls and what counts its records.
func (f *First) NetConn() net.Conn { return f.low.Conn }

// SyscallConn gives access to the descriptor where there is one.
func (f *First) SyscallConn() (syscall.RawConn, error) { return syscallConn(f.low.Conn) }

// LocalAddr returns the local address.
func (f *First) LocalAddr() net.Addr { return f.conn.LocalAddr() }

// RemoteAddr returns the client's address.
func (f *First) RemoteAddr() net.Addr { return f.conn.RemoteAddr() }

// SetDeadline is tls.Conn's, which hands it down.
func (f *First) SetDeadline(t time.Time) error { return f.low.Conn.SetDeadline(t) }

// SetReadDeadline is tls.Conn's, which hands it down.
func (f *First) SetReadDeadline(t time.Time) error { return f.low.Conn.SetReadDeadline(t) }

// SetWriteDeadline is tls.Conn's, which hands it down.
func (f *First) SetWriteDeadline(t time.Time) error { return f.low.Conn.SetWriteDeadline(t) }

// Holds reports, while a Read waits, whether something that the client has sent is here already and not read.
func (f *First) Holds() bool { return f.low.holds.Load() }

// Whole reports whether no part of a record has come, so that Seal is not busy for that. The goroutine that reads calls it.
func (f *First) Whole() bool { return f.low.atRecord() }

// Complete waits until the rest of a record has come of which there is a part, for no longer than that. It is kept for
// whoever reads next, and nobody may read meanwhile. No deadline for reading is left.
func (f *First) Complete(limit time.Duration) error {
	f.reads.Lock()
	defer f.reads.Unlock()
	if f.low.atRecord() || f.ended != nil {
		return f.ended
	}
	_ = f.conn.SetReadDeadline(time.Now().Add(limit))
	defer func() { _ = f.conn.SetReadDeadline(time.Time{}) }()
	b := make([]byte, maxPlain)
	n, err := f.conn.Read(b)
	if n > 0 {
		f.low.open = false
		f.plain = append(f.plain, b[:n]...)
	}
	return err
}

// Read is tls.Conn's.
func (f *First) Read(b []byte) (int, error) {
	f.reads.Lock()
	defer f.reads.Unlock()
	if len(f.plain) > 0 {
		n := copy(b, f.plain)
		f.plain = f.plain[n:]
		return n, nil
	}
	if f.ended != nil {
		return 0, f.ended
	}
	n, err := f.conn.Read(b)
	if n > 0 {
		f.low.open = false
	}
	return n, err
}

// Write is tls.Conn's.
func (f *First) Write(b []byte) (int, error) {
	f.writes.Lock()
	defer f.writes.Unlock()
	if f.moved {
		return 0, net.ErrClosed
	}
	return f.conn.Write(b)
}

// CloseWrite is tls.Conn's.
func (f *First) CloseWrite() error {
	f.writes.Lock()
	defer f.writes.Unlock()
	if f.moved {
		return net.ErrClosed
	}
	f.note(StaysClosing)
	return f.conn.CloseWrite()
}

// Close is tls.Conn's. While the connection is sealed, and after it has moved, it does no more than close the descriptor.
func (f *First) Close() error {
	silent, err := f.calls.close()
	if err != nil {
		return err
	}
	if silent {
		return f.low.Conn.Close()
	}
	err = f.conn.Close()
	f.low.forget()
	return err
}

// Seal ends reading and writing, and returns the state of the connection for another process. ErrBusy says that somebody
// reads or writes, or that a part of a record has come, a StaysError that the connection does not move. Then it goes on.
// While it is sealed, Reads and Writes wait, whatever their deadlines.
func (f *First) Seal() (*Sealed, error) {
	if err := f.Stays(); err != nil {
		return nil, err
	}
	if !f.reads.TryLock() {
		return nil, ErrBusy
	}
	if !f.writes.TryLock() {
		f.reads.Unlock()
		return nil, ErrBusy
	}
	s, err := f.seal()
	if err != nil {
		f.writes.Unlock()
		f.reads.Unlock()
		var e StaysError
		if errors.As(err, &e) && e.Reason != StaysLarge {
			f.note(e.Reason)
			f.low.tryForget()
		}
	}
	return s, err
}

// seal is Seal with both mutexes held. They stay so if there is no error.
func (f *First) seal() (*Sealed, error) {
	l := f.low
	if err := f.drain(); err != nil {
		return nil, err
	}
	if !l.mu.TryLock() {
		return nil, ErrBusy // by somebody who has the tls.Conn
	}
	if l.broken {
		l.mu.Unlock()
		return nil, stays(StaysOther)
	}
	if !f.calls.seal(true) {
		l.mu.Unlock()
		return nil, stays(StaysClosing)
	}
	info := f.conn.ConnectionState()
	st := &state{
		suite: suiteOf(info.CipherSuite), info: info, retried: retried(&info),
		plain: f.plain, cipher: l.ahead,
		read:  keys{l.told.client.bytes, l.received},
		write: keys{l.told.server.bytes, l.sent},
	}
	defer st.wipe()
	b, err := st.append()
	if err != nil {
		if open := f.calls.seal(false); !open {
			f.leaveLocked(net.ErrClosed)
		}
		l.mu.Unlock()
		return nil, err
	}
	return &Sealed{
		state: b,
		back: func() {
			if open := f.calls.seal(false); !open {
				f.leaveLocked(net.ErrClosed)
			}
			l.mu.Unlock()
			f.writes.Unlock()
			f.reads.Unlock()
		},
		gone: func() {
			f.leaveLocked(io.EOF)
			l.mu.Unlock()
			f.writes.Unlock()
			f.reads.Unlock()
		},
	}, nil
}

// leaveLocked ends the connection without a word. All mutexes are held.
func (f *First) leaveLocked(end error) {
	f.ended, f.moved, f.plain = end, true, nil
	f.low.gone, f.low.ahead = true, nil
	f.low.forgetLocked()
	f.note(StaysClosing)
}

// drain takes what crypto/tls has decrypted, so that it asks for the next record.
func (f *First) drain() error {
	l := f.low
	if !l.atRecord() {
		return ErrBusy
	}
	if f.ended != nil {
		return stays(StaysClosing)
	}
	l.asks = true
	defer func() { l.asks = false }()
	for {
		f.plain = slices.Grow(f.plain, 512)
		n, err := f.conn.Read(f.plain[len(f.plain):cap(f.plain)])
		if n > 0 {
			f.plain = f.plain[:len(f.plain)+n]
			l.open = false
		}
		switch {
		case err == nil:
		case errors.Is(err, askedError{}):
			if l.useless {
				return stays(StaysKey)
			}
			if len(f.plain) == 0 {
				f.plain = nil
			}
			return nil
		default:
			return stays(StaysClosing)
		}
	}
}

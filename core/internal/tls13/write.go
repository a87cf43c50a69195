package tls13

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// The alerts that are said or looked at here (RFC 8446, section 6).
const (
	alertCloseNotify       byte = 0
	alertUnexpectedMessage byte = 10
	alertBadRecordMAC      byte = 20
	alertRecordOverflow    byte = 22
	alertDecodeError       byte = 50
	alertProtocolVersion   byte = 70
	alertInternalError     byte = 80
	alertUserCanceled      byte = 90

	levelWarning, levelFatal byte = 1, 2
)

// goodbyeTime is how long close_notify may take: crypto/tls, Conn.closeNotify.
const goodbyeTime = 5 * time.Second

// errShutdown is crypto/tls's.
var errShutdown = errors.New("tls: protocol is shutdown")

// stuckError is a timeout that is no reason to try again: crypto/tls, permanentError.
type stuckError struct{ err net.Error }

// Error returns the error's text.
func (e stuckError) Error() string { return e.err.Error() }

// Timeout reports whether it was a timeout.
func (e stuckError) Timeout() bool { return e.err.Timeout() }

// Temporary reports false.
func (stuckError) Temporary() bool { return false }

// Unwrap returns the error.
func (e stuckError) Unwrap() error { return e.err }

// end is for an error after which nothing is written. It returns the first one.
func (out *outgoing) end(err error) error {
	var ne net.Error
	if errors.As(err, &ne) {
		err = stuckError{ne}
	}
	if out.err == nil {
		out.err = err
	}
	out.wipe()
	return out.err
}

// wipe forgets the secret, because nothing more is written.
func (out *outgoing) wipe() { wipe(&out.half) }

// Write sends b in records of up to 16 KiB. After an error all later ones fail, because a part of a record may be out.
func (c *Conn) Write(b []byte) (int, error) {
	if !c.calls.write() {
		return 0, net.ErrClosed
	}
	defer func() {
		if closed := c.calls.written(); closed {
			c.forget()
		}
	}()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if err := c.out.usable(); err != nil {
		return 0, err
	}
	return c.writeRecords(typeData, b)
}

// usable returns why nothing is written.
func (out *outgoing) usable() error {
	if out.err == nil && out.shut {
		return errShutdown
	}
	return out.err
}

// writeRecords writes with the mutex held, and keeps an error.
func (c *Conn) writeRecords(typ byte, b []byte) (done int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	done, err = withRecords(len(b), func(buf []byte) (done int, err error) {
		for len(b) > 0 && err == nil {
			var n int
			var records []byte
			if records, n, err = c.out.batch(buf, typ, b); err == nil {
				_, err = c.below.Write(records)
			}
			if err == nil {
				done, b = done+n, b[n:]
			}
		}
		return done, err
	})
	if err != nil {
		err = c.out.end(err)
	}
	return done, err
}

// batch makes records of b, as many as have room, and returns how many bytes of b are in them. Before a key has been used too
// often another one is made.
func (out *outgoing) batch(buf []byte, typ byte, b []byte) (records []byte, n int, err error) {
	for range maxBatch {
		if out.half.seq >= out.limit {
			buf = out.half.seal(buf, typeHandshake, keyUpdate)
			if err := out.half.next(); err != nil {
				return nil, 0, err
			}
		}
		m := min(len(b)-n, maxPlain)
		buf = out.half.seal(buf, typ, b[n:n+m])
		if n += m; n == len(b) {
			break
		}
	}
	return buf, n, nil
}

// answerKeyUpdate changes the key for writing, because the client asks for that. A write error shows at the next Write.
func (c *Conn) answerKeyUpdate() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.usable() != nil {
		return nil
	}
	if _, err := c.writeRecords(typeHandshake, keyUpdate); err != nil {
		return nil // as crypto/tls: what the client has sent can still be read
	}
	return c.out.half.next()
}

// alert tells the client of an error, which is returned. It is the last word.
func (c *Conn) alert(code byte) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.usable() == nil {
		_, _ = c.writeRecords(typeAlert, []byte{levelFatal, code})
	}
	err := &net.OpError{Op: "local error", Err: tls.AlertError(code)}
	_ = c.out.end(err)
	return err
}

// goodbye says close_notify once, with the mutex held.
func (c *Conn) goodbye() error {
	out := &c.out
	if out.shut || out.err != nil {
		return out.told
	}
	out.shut = true
	_ = c.below.SetWriteDeadline(time.Now().Add(goodbyeTime))
	_, out.told = c.writeRecords(typeAlert, []byte{levelWarning, alertCloseNotify})
	_ = c.below.SetWriteDeadline(time.Now())
	out.wipe()
	return out.told
}

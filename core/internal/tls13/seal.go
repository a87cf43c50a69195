package tls13

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrBusy is for a connection that is being read or written. It may move at another time.
var ErrBusy = errors.New("the TLS connection is being read or written")

// Reason is why a connection does not move, now or later. There are few, to be counted by.
type Reason string

// Why a connection does not move.
const (
	StaysHandshake Reason = "the TLS handshake is not over"
	StaysVersion   Reason = "TLS 1.2 or older"
	StaysSuite     Reason = "a TLS cipher suite other than AES-GCM"
	StaysFIPS      Reason = "FIPS 140-3 mode"
	StaysSecrets   Reason = "crypto/tls has not told the secrets" //nolint:gosec // it tells none either
	StaysKey       Reason = "the TLS client has changed its key, or has sent a record without data"
	StaysClosing   Reason = "the TLS connection has ended, in one direction at least"
	StaysLarge     Reason = "the state of the TLS connection is too large"
	StaysOther     Reason = "crypto/tls has read or written in an unexpected way"
)

// StaysError says why a connection does not move.
type StaysError struct{ Reason Reason }

// Error returns the reason.
func (e StaysError) Error() string { return string(e.Reason) }

// stays returns the error.
func stays(why Reason) error { return StaysError{why} }

// Sealed is a connection whose state is on its way to another process. Nothing is read or written on it here until
// Refused is called. The first call of Refused or Gone counts. Any goroutine may call the methods.
type Sealed struct {
	state []byte
	once  sync.Once
	back  func()
	gone  func()
}

// State is what [Adopt] takes. It is a secret, and it is cleared by Refused and Gone.
func (s *Sealed) State() []byte { return s.state }

// Refused says that no other process has the connection, or will have it. It goes on here.
func (s *Sealed) Refused() { s.end(s.back) }

// Gone says that another process has the connection, or may have it. Reads end with io.EOF, writes fail, and Close does no more
// than close the descriptor.
func (s *Sealed) Gone() { s.end(s.gone) }

func (s *Sealed) end(f func()) {
	s.once.Do(func() {
		clear(s.state)
		s.state = nil
		f()
	})
}

// Format keeps the state out of any text.
func (*Sealed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

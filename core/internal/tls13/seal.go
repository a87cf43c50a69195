package tls13

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrBusy is for a connection that is being read or written. It may move at another time.
var ErrBusy = errors.New("the TLS connection is being read or written")

// Stays is why a connection does not move, now or later. It has few values, to be counted by.
type Stays string

// Why a connection does not move.
const (
	StaysHandshake Stays = "the TLS handshake is not over"
	StaysVersion   Stays = "TLS 1.2 or older"
	StaysSuite     Stays = "a TLS cipher suite other than AES-GCM"
	StaysFIPS      Stays = "FIPS 140-3 mode"
	StaysSecrets   Stays = "crypto/tls has not told the secrets"
	StaysKey       Stays = "the TLS client has changed its key, or has sent a record without data"
	StaysClosing   Stays = "the TLS connection has ended, in one direction at least"
	StaysLarge     Stays = "the state of the TLS connection is too large"
	StaysOther     Stays = "crypto/tls has read or written in an unexpected way"
)

// Error returns the reason.
func (s Stays) Error() string { return string(s) }

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

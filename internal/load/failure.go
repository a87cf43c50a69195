package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Reason is the kind of a failure, short enough to be counted by.
type Reason string

// The reasons. A status other than the expected one is its own reason, "status 503", whenever it comes.
const (
	Refused      Reason = "connection refused"
	NotConnected Reason = "not connected" // any other failure to dial, TLS included
	Reset        Reason = "connection reset"
	NoAnswer     Reason = "EOF before the answer"
	Truncated    Reason = "answer cut short"
	Malformed    Reason = "malformed answer" // or cut in the middle of a header line
	WrongBody    Reason = "wrong body"
	WrongTag     Reason = "wrong tag"
	Early        Reason = "answer before the request's end" // also one instead of 100 Continue
	Surplus      Reason = "bytes after the answer"
	TimedOut     Reason = "timeout"
	// A pipelining client has requests on the way behind an answer with "Connection: close". A server does not answer
	// those (RFC 9112, section 9.6), so a client that can choose does not pipeline what it can't repeat. So it is with
	// messages of a WebSocket whose server has said in a close frame that it leaves.
	Left Reason = "pipelined behind the connection's last"
	// Of HTTP/2: a GOAWAY that names a stream before, and RST_STREAM.
	RefusedStream Reason = "stream refused by GOAWAY"
	ResetStream   Reason = "stream reset"
	Broken        Reason = "connection broken" // an error of none of the kinds above
)

// RequestError is the error of one failed request.
type RequestError struct {
	Reason  Reason
	Client  int  // as in Sample
	Request int  // the client's how many-th, from 1
	Reused  bool // the connection had carried a request before
	Err     error
}

func (e *RequestError) Error() string {
	conn := "new connection"
	if e.Reused {
		conn = "reused connection"
	}
	return fmt.Sprintf("client %d, request %d, %s: %s: %v", e.Client, e.Request, conn, e.Reason, e.Err)
}

// Unwrap gives the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// failure makes the error of a request that is not known yet.
func failure(reason Reason, format string, args ...any) *RequestError {
	return &RequestError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// in adds where the failure was met.
func (e *RequestError) in(where any) *RequestError {
	e.Err = fmt.Errorf("%v: %w", where, e.Err)
	return e
}

// statusReason is the reason of an answer with a status that was not expected.
func statusReason(status int) Reason {
	return Reason(fmt.Sprintf("status %d", status))
}

// reasonOf sorts an error of the network. The fallback is what it means when the error says nothing more precise than
// that the stream ended or broke.
func reasonOf(err error, fallback Reason) Reason {
	var timeout net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		// EPIPE is what the next write meets after a reset came in.
		return Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fallback
	case fallback == NotConnected, fallback == Malformed:
		return fallback
	}
	return Broken
}

// cause takes the addresses out of an error, which the caller says itself.
func cause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

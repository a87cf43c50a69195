package wsmove

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"
)

// firstResponse is the ResponseWriter in the process that the client has asked.
type firstResponse struct {
	http.ResponseWriter
	s      *Session
	status int
}

// Unwrap is for http.ResponseController.
func (w *firstResponse) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is http.Flusher's.
func (w *firstResponse) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// WriteHeader remembers the status: coder/websocket says 101 by it.
func (w *firstResponse) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Hijack is http.Hijacker's.
func (w *firstResponse) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil || w.s.conduct() == untouched {
		return nc, rw, err
	}
	w.s.carriedBy(nc)
	c := newConn(nc, w.s)
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	c.in.pending = append(c.in.pending, ahead...)
	rw.Reader.Reset(c)
	rw.Writer.Reset(c)
	if w.status == http.StatusSwitchingProtocols {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		_ = c.answered(answerOf(w.status, w.Header())) // no error: it is the first one
	}
	return c, rw, nil
}

// replay is the ResponseWriter in a process that the connection has come to. Nothing of it reaches the client.
type replay struct {
	c      *conn
	header http.Header
	status int // that the handler has said; 0 is none
	taken  bool
	err    error // that Hijack has returned
}

var (
	errAnswered = errors.New("wsmove: the handler has answered the handshake of a connection that has moved, and then hijacks it")
	errTooLate  = errors.New("wsmove: the handler has not answered the handshake in time")
)

// Header is http.ResponseWriter's, and so are the next two.
func (w *replay) Header() http.Header { return w.header }

func (w *replay) WriteHeader(status int) {
	if w.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		w.status = status
	}
}

func (w *replay) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(b), nil
}

// WriteString is io.StringWriter's.
func (w *replay) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush is http.Flusher's.
func (w *replay) Flush() {}

// SetReadDeadline is http.ResponseController's, and so is the next one.
func (w *replay) SetReadDeadline(time.Time) error { return nil }

func (w *replay) SetWriteDeadline(time.Time) error { return nil }

// Hijack is http.Hijacker's.
func (w *replay) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken {
		return nil, nil, http.ErrHijacked
	}
	if w.err = w.mayHijack(); w.err != nil {
		return nil, nil, w.err
	}
	w.taken = true
	return w.c, bufio.NewReadWriter(bufio.NewReader(w.c), bufio.NewWriter(w.c)), nil
}

func (w *replay) mayHijack() error {
	w.c.out.mu.Lock()
	defer w.c.out.mu.Unlock()
	switch {
	case w.c.out.phase != shaking:
		return errTooLate
	case w.status == http.StatusSwitchingProtocols:
		return w.c.answered(answerOf(w.status, w.header))
	case w.status != 0:
		return errAnswered
	}
	return nil
}

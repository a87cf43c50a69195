package wsmove

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// library is a WebSocket library as programs use them: it buffers what it reads, answers pings and close frames in its
// readers, and writes the answer to the handshake to the connection.
type library struct {
	net.Conn
	in *bufio.Reader

	mu sync.Mutex // held by a writer
}

var errClosedByPeer = errors.New("closed by the peer")

// upgrade answers the handshake, with these headers besides the usual ones.
func upgrade(w http.ResponseWriter, headers ...string) (*library, error) {
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return nil, err
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	for _, h := range headers {
		answer += h + "\r\n"
	}
	for _, part := range []string{answer[:20], answer[20:], "\r\n"} { // as it comes out of a small buffer
		if _, err := io.WriteString(c, part); err != nil {
			c.Close()
			return nil, err
		}
	}
	return newLibrary(c, rw.Reader), nil
}

// accept is upgrade for a library that answers by the ResponseWriter.
func accept(w http.ResponseWriter) (*library, error) {
	w.Header().Set("Upgrade", "websocket")
	w.Header().Set("Connection", "Upgrade")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return nil, err
	}
	return newLibrary(c, rw.Reader), nil
}

func newLibrary(c net.Conn, in *bufio.Reader) *library {
	l := &library{Conn: c}
	l.in = bufio.NewReader(io.MultiReader(readAhead(in), l.Conn))
	if c, ok := c.(*conn); ok {
		l.in = bufio.NewReader(&counted{c, c.s.m})
	}
	return l
}

// readAhead returns what is in the buffer of Hijack.
func readAhead(in *bufio.Reader) io.Reader {
	b, _ := in.Peek(in.Buffered())
	return bytes.NewReader(b)
}

// bytesRead counts what the libraries of each mover have read.
var bytesRead sync.Map

type counted struct {
	io.Reader
	m *mover
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	total, _ := bytesRead.LoadOrStore(c.m, new(atomic.Int64))
	total.(*atomic.Int64).Add(int64(n))
	return n, err
}

// read returns the next message.
func (l *library) read() (string, error) {
	var message []byte
	for {
		op, final, payload, err := readFrame(l.in)
		switch {
		case err != nil:
			return "", err
		case op == 9:
			err = l.frame(10, true, payload)
		case op == opClose:
			_ = l.frame(opClose, true, payload)
			return "", fmt.Errorf("%w: %d", errClosedByPeer, binary.BigEndian.Uint16(payload))
		case op < 8:
			if message = append(message, payload...); final {
				return string(message), nil
			}
		}
		if err != nil {
			return "", err
		}
	}
}

func (l *library) write(message string) error { return l.frame(1, true, []byte(message)) }

func (l *library) frame(op byte, final bool, payload []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.Conn.Write(frameOf(op, final, false, payload))
	return err
}

// readFrame reads a frame with a key of zeros, or without one.
func readFrame(r *bufio.Reader) (op byte, final bool, payload []byte, err error) {
	head, err := r.Peek(2)
	if err != nil {
		return 0, false, nil, err
	}
	op, final = head[0]&15, head[0]&128 != 0
	masked, size, n := head[1]&128 != 0, int(head[1]&127), 2
	more := map[int]int{126: 2, 127: 8}[size]
	if n += more; masked {
		n += 4
	}
	if head, err = r.Peek(n); err != nil {
		return 0, false, nil, err
	}
	switch more {
	case 2:
		size = int(binary.BigEndian.Uint16(head[2:]))
	case 8:
		size = int(binary.BigEndian.Uint64(head[2:]))
	}
	_, _ = r.Discard(n)
	payload = make([]byte, size)
	_, err = io.ReadFull(r, payload)
	return op, final, payload, err
}

// echo answers each message with the name of the process and the message.
func echo(process string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		Move(r)
		serveEcho(process, w, strings.HasSuffix(r.URL.Path, "/accept"))
	}
}

func serveEcho(process string, w http.ResponseWriter, accepts bool) {
	l, err := upgradeOrAccept(w, accepts)
	if err != nil {
		return
	}
	defer l.Close()
	for {
		message, err := l.read()
		if err != nil || l.write(process+" "+message) != nil {
			return
		}
	}
}

func upgradeOrAccept(w http.ResponseWriter, accepts bool) (*library, error) {
	if accepts {
		return accept(w)
	}
	return upgrade(w)
}

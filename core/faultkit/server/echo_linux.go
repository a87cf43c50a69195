package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
)

// echoName is what the hijacked connections move by.
const echoName = "faultkit echo"

// hijack makes an echo of a connection.
func (s *server) hijack(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.log.Error("can't hijack", "error", err)
		return
	}
	ahead := make([]byte, rw.Reader.Buffered())
	_, _ = rw.Read(ahead)
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Pid: %d\r\nX-Generation: %d\r\n\r\n",
		os.Getpid(), core.Generation())
	go s.echo(c, ahead)
}

// echo sends back what comes, what is ahead first, until the client leaves or the connection moves. In a process that
// has adopted it, ahead is what the old one had read and not sent back.
func (s *server) echo(c net.Conn, ahead []byte) {
	defer c.Close()
	wake := make(chan struct{})
	defer close(wake)
	go func() {
		select {
		case <-core.Draining(context.Background()):
			_ = c.SetReadDeadline(time.Unix(1, 0))
		case <-wake:
		}
	}()
	b := make([]byte, 32<<10)
	for n := copy(b, ahead); ; {
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
		var err error
		if n, err = c.Read(b); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.move(c, b)
			}
			return
		}
	}
}

// move hands the connection over. On the way it reads on, without an answer, so
// that what is half done has to move too.
func (s *server) move(c net.Conn, b []byte) {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	n, _ := c.Read(b)
	_ = c.SetReadDeadline(time.Time{})
	if s.has("echo") {
		b[0]++
		n = max(n, 1)
	}
	if err := core.Handoff(c, echoName, b[:n]); err != nil && core.Status().State != core.StateStopping {
		s.log.Warn("a hijacked connection has not moved", "error", err)
	}
}

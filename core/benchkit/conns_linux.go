package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

var (
	request = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
	// head asks for a request of one byte, which the client keeps until it wants an answer. The handler has the request
	// when the server says that it may come.
	head      = []byte("POST /hold HTTP/1.1\r\nHost: bench\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
	goOn      = []byte("HTTP/1.1 100 Continue\r\n\r\n")
	good      = []byte("HTTP/1.1 200 OK\r\n")
	lastBytes = []byte("\r\n\r\nhello")
	closes    = []byte("\r\nConnection: close\r\n")
)

// atATime is how many connections are opened or asked at a time.
const atATime = 16

// conns are connections of this process, which never connects again: what goes wrong on one of them is lost.
type conns []net.Conn

// dial opens n connections.
func dial(ctx context.Context, addr string, n int) (conns, error) {
	all := make(conns, n)
	failed := all.each(func(i int) (err error) {
		var d net.Dialer
		all[i], err = d.DialContext(ctx, "tcp", addr)
		return err
	})
	if failed.count > 0 {
		all.close()
		return nil, fmt.Errorf("%d of %d connections can't be opened: %w", failed.count, n, failed.first)
	}
	return all, nil
}

// each calls do for each connection's index, for some at a time. The losses have each that has failed.
func (c conns) each(do func(i int) error) losses {
	var lost [atATime]losses
	var parts sync.WaitGroup
	for part := range atATime {
		parts.Go(func() {
			for i := part; i < len(c); i += atATime {
				if err := do(i); err != nil {
					lost[part].add(losses{1, err})
				}
			}
		})
	}
	parts.Wait()
	var all losses
	for _, l := range lost {
		all.add(l)
	}
	return all
}

// ask asks once on each, and counts those that give no answer.
func (c conns) ask() losses { return c.count(ask) }

// hold begins a request on each, and returns when the handler has them all.
func (c conns) hold() losses {
	return c.count(func(c net.Conn, buf []byte) error {
		_, err := c.Write(head)
		if err == nil {
			_, err = io.ReadFull(c, buf[:len(goOn)])
		}
		if err == nil && !bytes.Equal(buf[:len(goOn)], goOn) {
			err = fmt.Errorf("instead of 100 Continue it says %q", buf[:len(goOn)])
		}
		return err
	})
}

// release ends each request that was begun, and reads the answer.
func (c conns) release() losses {
	return c.count(func(c net.Conn, buf []byte) error {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		return readAnswer(c, buf)
	})
}

// count does something on each connection, in time, and counts the failures.
func (c conns) count(do func(c net.Conn, buf []byte) error) losses {
	return c.each(func(i int) error {
		var buf [bufSize]byte
		_ = c[i].SetDeadline(time.Now().Add(patience)) // of an open connection it can't fail
		return do(c[i], buf[:])
	})
}

// close closes them all, without a TIME_WAIT for each.
func (c conns) close() {
	for _, conn := range c {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}

// bufSize is more than an answer has.
const bufSize = 512

// ask asks once. It allocates nothing.
func ask(c net.Conn, buf []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	return readAnswer(c, buf)
}

// readAnswer reads a good answer, after which the connection is still there.
func readAnswer(c net.Conn, buf []byte) error {
	n := 0
	for !bytes.HasSuffix(buf[:n], lastBytes) {
		m, err := c.Read(buf[n:])
		if err == nil && m == 0 {
			err = io.ErrShortBuffer
		}
		if err != nil {
			return fmt.Errorf("after %d bytes of an answer: %w", n, err)
		}
		n += m
	}
	if !bytes.HasPrefix(buf[:n], good) || bytes.Contains(buf[:n], closes) {
		return fmt.Errorf("a wrong answer: %q", buf[:n])
	}
	return nil
}

// speakTLS shakes hands on connections that nobody has used. Who the server is does not matter here.
func (c conns) speakTLS(http2 bool) error {
	conf := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}}
	if http2 {
		conf.NextProtos = []string{"h2"}
	}
	return c.each(func(i int) error {
		over := tls.Client(c[i], conf)
		c[i] = over
		return over.Handshake()
	}).err()
}

// askBulk asks for a large answer.
func askBulk(c net.Conn, _ []byte) error {
	if _, err := c.Write([]byte("GET /bulk HTTP/1.1\r\nHost: bench\r\n\r\n")); err != nil {
		return err
	}
	b := bulks.Get().(*[64 << 10]byte)
	defer bulks.Put(b)
	for head, left := false, 0; !head || left > 0; {
		n, err := c.Read(b[:])
		if err != nil {
			return err
		}
		got := b[:n]
		if !head {
			at := bytes.Index(got, []byte("\r\n\r\n"))
			if at < 0 || !bytes.HasPrefix(got, good) || bytes.Contains(got[:at], closes) {
				return fmt.Errorf("a wrong answer: %q", got[:min(n, bufSize)])
			}
			head, left, got = true, bulkSize, got[at+4:]
		}
		if left -= len(got); left < 0 {
			return fmt.Errorf("an answer of %d bytes too many", -left)
		}
	}
	return nil
}

var bulks = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// losses are requests without an answer, and with them connections that broke. There must be none.
type losses struct {
	count int
	first error
}

func (l *losses) add(more losses) {
	if l.first == nil {
		l.first = more.first
	}
	l.count += more.count
}

// err is nil if nothing was lost.
func (l losses) err() error {
	if l.count == 0 {
		return nil
	}
	return fmt.Errorf("%d requests were lost, or connections broke; the first: %w", l.count, l.first)
}

// repeated asks n times on a connection.
func repeated(n int, ask func(c net.Conn, buf []byte) error) func(c net.Conn, buf []byte) error {
	return func(c net.Conn, buf []byte) error {
		for range n {
			if err := ask(c, buf); err != nil {
				return err
			}
		}
		return nil
	}
}

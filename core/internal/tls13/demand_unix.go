//go:build unix

package tls13

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// demand reads from a socket, and takes a buffer only when something has come: thousands of connections wait.
type demand struct {
	in  *incoming
	rc  syscall.RawConn // nil if the connection below is no socket
	try func(s uintptr) bool
	n   int
	err error
}

func (d *demand) init(nc net.Conn, in *incoming) {
	d.in = in
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn: // others do something in their Read
		if rc, err := syscallConn(nc); err == nil {
			d.rc, d.try = rc, d.tryRead
		}
	}
}

// read is a Read with a buffer, which the incoming has afterwards.
func (d *demand) read(nc net.Conn) (int, error) {
	if d.rc == nil {
		d.in.take()
		return nc.Read(d.in.buf[:])
	}
	d.n, d.err = 0, nil
	err := d.rc.Read(d.try)
	if err == nil {
		err = d.err
	}
	if err == nil || errors.Is(err, io.EOF) {
		return d.n, err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		op.Op = "read" // "raw-read" is a word of package net's
		return d.n, op
	}
	return d.n, &net.OpError{Op: "read", Net: nc.LocalAddr().Network(), Source: nc.LocalAddr(), Addr: nc.RemoteAddr(), Err: err}
}

// tryRead reports false if nothing has come.
func (d *demand) tryRead(s uintptr) bool {
	d.in.take()
	for {
		n, err := syscall.Read(int(s), d.in.buf[:])
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			d.in.drop()
			return false
		case err != nil:
			d.err = os.NewSyscallError("read", err)
		case n == 0:
			d.err = io.EOF
		default:
			d.n = n
		}
		return true
	}
}

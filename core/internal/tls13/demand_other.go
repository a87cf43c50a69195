//go:build !unix

package tls13

import "net"

// demand is for systems on which a Read needs a buffer from its beginning.
type demand struct{ in *incoming }

func (d *demand) init(_ net.Conn, in *incoming) { d.in = in }

func (d *demand) read(nc net.Conn) (int, error) {
	d.in.take()
	return nc.Read(d.in.buf[:])
}

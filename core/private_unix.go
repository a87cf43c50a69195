//go:build unix && !linux

package core

import "net"

// listenPrivately opens a unix socket that others can't reach before its mode is right.
func listenPrivately(path string) (net.Listener, error) {
	ln, err := bindUnix("unix", path, func() (net.Listener, error) { return listenInFolder(path) })
	return ln, remedyFor(err, "unix", path)
}

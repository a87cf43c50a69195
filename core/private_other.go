//go:build !unix

package core

import (
	"context"
	"net"
)

// listenPrivately opens a unix socket. Its file has no mode here.
func listenPrivately(path string) (net.Listener, error) {
	return openWith(context.Background(), net.ListenConfig{}, "unix", path)
}

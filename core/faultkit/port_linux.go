package main

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports below those that the system gives to clients (ip_local_port_range), of which
// the load takes many.
const (
	lowPort   = 20000
	portCount = 10000
	portTries = 100
)

// freePort finds a port that nobody listens on.
func freePort() (int, error) {
	var err error
	for range portTries {
		port := lowPort + rand.IntN(portCount)
		var ln net.Listener
		if ln, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			return port, ln.Close()
		}
	}
	return 0, fmt.Errorf("no free port in %d tries: %w", portTries, err)
}

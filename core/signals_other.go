//go:build !unix

package core

import (
	"os"
	"syscall"
)

// DefaultSignals returns what is used without WithSignals: an interrupt and
// SIGTERM stop. There are no signals for the rest on this system.
func DefaultSignals() Signals {
	return Signals{Stop: []os.Signal{os.Interrupt, syscall.SIGTERM}}
}

// uncatchable reports whether no program can handle the signal.
func uncatchable(sig os.Signal) bool { return sig == os.Kill }

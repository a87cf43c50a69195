//go:build !unix

package core

import (
	"os"
	"syscall"
)

// DefaultSignals returns the signals that apply without WithSignals. An interrupt and SIGTERM
// stop. This system has no signals for upgrades and reopening.
func DefaultSignals() Signals {
	return Signals{Stop: []os.Signal{os.Interrupt, syscall.SIGTERM}}
}

// uncatchable reports whether no program can handle the signal.
func uncatchable(sig os.Signal) bool { return sig == os.Kill }

// passSignals is not needed here: there are no upgrades.
func passSignals() {}

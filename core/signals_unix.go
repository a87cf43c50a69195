//go:build unix

package core

import (
	"os"
	"syscall"
)

// DefaultSignals returns the signals that apply without WithSignals. SIGHUP and SIGUSR2 upgrade.
// SIGTERM, SIGINT and SIGQUIT stop. SIGUSR1 reopens logs.
func DefaultSignals() Signals {
	return Signals{
		Upgrade: []os.Signal{syscall.SIGHUP, syscall.SIGUSR2},
		Stop:    []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT},
		Reopen:  []os.Signal{syscall.SIGUSR1},
	}
}

// uncatchable reports whether no program can handle the signal.
func uncatchable(sig os.Signal) bool { return sig == syscall.SIGKILL || sig == syscall.SIGSTOP }

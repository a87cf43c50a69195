//go:build unix

package core

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
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

// passSignals returns when package os/signal has passed on the SIGTERM that this process has got so far: SIGCONT comes
// behind it, because the kernel and os/signal begin with the lowest number. It means nothing to a process that runs.
func passSignals() {
	passed := make(chan os.Signal, 1)
	signal.Notify(passed, syscall.SIGCONT)
	defer signal.Stop(passed)
	if syscall.Kill(os.Getpid(), syscall.SIGCONT) != nil {
		return
	}
	select {
	case <-passed:
	case <-time.After(timing.Exit):
	}
}

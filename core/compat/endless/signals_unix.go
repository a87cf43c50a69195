//go:build unix

package endless

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core"
)

// hookable are the signals that can have hooks.
func hookable() []os.Signal {
	return []os.Signal{syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGINT, syscall.SIGTERM, syscall.SIGTSTP}
}

// hammer is the signal that ends a drain.
func hammer() os.Signal { return syscall.SIGUSR2 }

func signals() core.Signals {
	return core.Signals{
		Upgrade: []os.Signal{syscall.SIGHUP},
		Stop:    []os.Signal{syscall.SIGTERM, syscall.SIGINT},
	}
}

//go:build !unix

package endless

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core"
)

// hookable are the signals that can have hooks.
func hookable() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// hammer does not exist here.
func hammer() os.Signal { return nil }

func signals() core.Signals { return core.DefaultSignals() }

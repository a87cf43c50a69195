//go:build !unix

package supervise

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/spawn"
)

// Run is not supported here.
func Run(Config) (code int, err error) { return 1, ErrUnsupported }

// Embedded is not supported here.
type Embedded struct{}

// Embed is not supported here.
func Embed(Config, spawn.Launch, func()) (*Embedded, int, error) { return nil, -1, ErrUnsupported }

// Over is nil: there is none.
func (*Embedded) Over() <-chan struct{} { return nil }

// Code is 0: there is none.
func (*Embedded) Code() int { return 0 }

// Notify does nothing.
func (*Embedded) Notify(chan<- os.Signal) {}

// Signal does nothing.
func (*Embedded) Signal(syscall.Signal) {}

// Stop does nothing.
func (*Embedded) Stop() {}

// Ended does nothing.
func (*Embedded) Ended(int, syscall.WaitStatus) {}

func defaultSignals() Signals { return Signals{} }

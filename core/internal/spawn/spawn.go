// Package spawn starts the next process, and keeps its stderr until its probation is over.
package spawn

import (
	"errors"
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/owner"
)

// ErrRights means that a program would not get the rights that this process has got from its own file.
var ErrRights = errors.New("the program does not give the rights that this process has got from its own file")

// IsRefusal reports whether a program was looked at, and not started for what was found.
func IsRefusal(err error) bool { return errors.Is(err, ErrRights) || errors.As(err, new(*owner.Error)) }

// Process is a started process.
type Process interface {
	PID() int
	Signal(os.Signal) error
	Wait() Exit // blocks until it has ended, and reaps it
}

// Ringer is a Process that wants to know when the program has said hello.
type Ringer interface{ Answered() }

// Exit is how a process ended.
type Exit struct {
	Text   string         // "exit status 1", "signal: killed"
	Signal syscall.Signal // 0 if none ended it
	Status syscall.WaitStatus
}

// Package spawn starts the next process, and keeps its stderr until its probation is over.
package spawn

import (
	"os"
	"syscall"
)

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

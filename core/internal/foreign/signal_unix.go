//go:build unix

package foreign

import "syscall"

const (
	retire  = syscall.SIGUSR2 // how overseer and einhorn ask a worker to make room for the next one
	release = syscall.SIGUSR1 // how overseer's master hears that the listeners are closed
)

//go:build unix

package overseer

import "syscall"

const supported = true

// The signals that package overseer names.
const (
	SIGUSR1 = syscall.SIGUSR1
	SIGUSR2 = syscall.SIGUSR2
	SIGTERM = syscall.SIGTERM
)

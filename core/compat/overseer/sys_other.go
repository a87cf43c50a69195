//go:build !unix

package overseer

import "syscall"

const supported = false

// The signals that package overseer names.
const (
	SIGUSR1 = syscall.SIGTERM
	SIGUSR2 = syscall.SIGTERM
	SIGTERM = syscall.SIGTERM
)

package fd

import "syscall"

// become makes the descriptor s a second one of what t is.
func become(s, t int) error { return syscall.Dup3(t, s, syscall.O_CLOEXEC) }

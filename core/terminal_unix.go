//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package core

import (
	"os"
	"syscall"
	"unsafe"
)

// terminal is the descriptor of this process's terminal, as of its start; -1 without one.
var terminal = findTerminal()

func findTerminal() int {
	for s := range 3 {
		if isTerminal(s) {
			return s
		}
	}
	return -1
}

// isTerminal reports whether a descriptor is the controlling terminal of this process (tcgetpgrp(3)). After a
// hangup no descriptor is.
func isTerminal(s int) bool {
	var group int32
	_, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return err == 0
}

// hungUpTerminal reports whether a signal says that the terminal was closed. That is no wish for an upgrade.
func hungUpTerminal(sig os.Signal) bool {
	return sig == syscall.SIGHUP && terminal >= 0 && !isTerminal(terminal)
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package core

import (
	"syscall"
	"unsafe"
)

// inForeground reports whether this process has a terminal as its stdin and is in the group
// that Ctrl-C is for: somebody has started it by hand and watches (tcgetpgrp(3)).
func inForeground() bool {
	var group int32
	_, _, err := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return err == 0 && int(group) == syscall.Getpgrp()
}

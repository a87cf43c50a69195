package fd

import (
	"syscall"
	"unsafe"
)

// Unread returns how many bytes wait in a pipe, and reports false if that is not known (FIONREAD, ioctl_tty(2)).
func Unread(rc syscall.RawConn) (n int, known bool) {
	err := rc.Control(func(s uintptr) {
		var waits int32
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, s, syscall.TIOCINQ, uintptr(unsafe.Pointer(&waits)))
		n, known = int(waits), errno == 0
	})
	return n, known && err == nil
}

//go:build !linux

package fd

import "syscall"

// Unread is not known here.
func Unread(syscall.RawConn) (n int, known bool) { return 0, false }

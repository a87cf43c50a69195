//go:build !linux

package fd

import "syscall"

// PeerClosed is Ended here: while something is left to read the end is not seen.
func PeerClosed(rc syscall.RawConn) bool { return Ended(rc) }

//go:build !unix

package core

import "syscall"

// startRelay is not supported here.
func startRelay(syscall.RawConn, []string) error { return ErrUnsupported }

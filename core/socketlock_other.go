//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd

package core

// lock does nothing: package syscall has no flock here.
func (f *socketFile) lock() (unlock func(), err error) { return func() {}, nil }

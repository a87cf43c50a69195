//go:build !linux

package proc

// Executable is not known here.
func Executable(int) (path string, ok bool) { return "", false }

//go:build !linux

package fd

// Interrupt is not supported here.
func Interrupt() error { return ErrUnsupported }

//go:build unix && !linux

package fd

func closeRange(int) error { return ErrUnsupported }

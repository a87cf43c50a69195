//go:build unix && !linux

package fd

// become is not supported: elsewhere a fork could come before close-on-exec is set.
func become(int, int) error { return ErrUnsupported }

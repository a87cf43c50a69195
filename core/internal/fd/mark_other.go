//go:build !linux

package fd

// MarkOf knows no way.
func MarkOf(int) int { return -1 }

// Mark does nothing.
func Mark(int) {}

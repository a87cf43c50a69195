//go:build !linux

package fd

// MarkOf knows no way.
func MarkOf(int) int { return -1 }

// Marked returns 0: nothing is marked.
func Marked(int, int) int { return 0 }

// Mark does nothing.
func Mark(int) {}

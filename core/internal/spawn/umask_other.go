//go:build !unix

package spawn

// Umask returns -1: there is none here.
func Umask() int { return -1 }

// SetUmask does nothing here.
func SetUmask(int) {}

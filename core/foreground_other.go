//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package core

// inForeground is not known here.
func inForeground() bool { return false }

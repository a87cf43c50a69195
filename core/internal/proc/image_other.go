//go:build !linux

package proc

import "os"

// SameImage is not known here.
func SameImage(int) bool { return false }

// IsAncestor reports whether a process has started this one. Whether it has started one that did is not known here.
func IsAncestor(pid int) bool { return pid == os.Getppid() }

//go:build !linux

package core

import "os"

// descendants is not known here.
func descendants(int) []*os.Process { return nil }

// hasSibling is not known here.
func hasSibling(sibling) bool { return false }

// parentOf is not known here.
func parentOf(int) (parent int, known bool) { return 0, false }

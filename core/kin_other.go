//go:build !linux

package core

import "os"

// descendants is not known here.
func descendants(int) []*os.Process { return nil }

// hasYoungerSibling is not known here.
func hasYoungerSibling() bool { return false }

// parentOf is not known here.
func parentOf(int) (parent int, known bool) { return 0, false }

//go:build !linux

package foreign

// isAncestor can't tell here.
func isAncestor() bool { return false }

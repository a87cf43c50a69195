//go:build !unix

package core

// hasMoreRights is always false here: no program has more rights than its caller.
func hasMoreRights() bool { return false }

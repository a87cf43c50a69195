//go:build unix && !linux

package core

// hasMoreRights reports whether this process has more rights than its caller: by setuid or setgid.
func hasMoreRights() bool { return hasOtherUser() }

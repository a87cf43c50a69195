package fd

import "os"

// Speaker is the process that has written what was read from a unix socket, by the word of the kernel. The zero
// Speaker is not known: the system does not say it, or the process is in a pid namespace that is not visible here.
type Speaker struct {
	PID int
	UID int // its real user
}

// Known reports whether the kernel says who it is.
func (s Speaker) Known() bool { return s.PID > 0 }

// Trusted reports whether it may do all that this process may: it is root's, or this user's. On a system that does
// not say who speaks, nobody but this user and root can be there, unless this process is root's itself.
func (s Speaker) Trusted() bool {
	user := os.Geteuid()
	if !s.Known() {
		return user != 0
	}
	return s.UID == 0 || s.UID == user
}

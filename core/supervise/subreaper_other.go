//go:build unix && !linux

package supervise

// becomeSubreaper does nothing here: the end of a worker that is not this process's child
// is heard on its link, and its exit status is not known.
func becomeSubreaper() {}

func leaveOrphans() {}

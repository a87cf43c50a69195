package program

import "os"

// rootAtStart is the root directory that this process had when it began.
var rootAtStart, _ = os.Stat("/")

// RootChanged reports whether this process has changed its root directory by chroot(2). Then the paths of its start
// lead elsewhere.
func RootChanged() bool {
	now, err := os.Stat("/")
	return err == nil && rootAtStart != nil && !os.SameFile(now, rootAtStart)
}

// insideRoot is the remedy for a path that is not found after that.
const insideRoot = "this process has changed its root directory (chroot) and finds only what is below that; put the program, what it " +
	"needs and its working directory there by the same paths, or stop the service and start it again instead of an upgrade"

// GoneDir says that a working directory does not exist, and what to do. more is a remedy that helps instead, with ", "
// in front, or empty.
func GoneDir(dir, more string) string {
	if RootChanged() {
		return "the working directory " + dir + " is not there; " + insideRoot
	}
	return "the working directory " + dir + " is gone; put it back" + more
}

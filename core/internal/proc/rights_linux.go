package proc

import (
	"os"
	"strconv"
	"strings"
)

// mayBeSignaledBy reports whether processes whose real user is uid may send signals to the process: by the rule of
// kill(2), without capabilities.
func mayBeSignaledBy(pid, uid int) bool {
	users := strings.Fields(Status(strconv.Itoa(pid), "Uid")) // real, effective, saved, of the file system
	user := strconv.Itoa(uid)
	return seesOwn() && len(users) > 2 && (users[0] == user || users[2] == user)
}

// HasRightsOfThis reports whether a process has the users of this one, and all its capabilities.
func HasRightsOfThis(pid int) bool {
	for _, field := range []string{"Uid", "Gid"} {
		theirs, ours := strings.Fields(Status(strconv.Itoa(pid), field)), strings.Fields(Status("self", field))
		if len(ours) < 2 || len(theirs) < 2 || theirs[1] != ours[1] { // the effective one
			return false
		}
	}
	theirs, err := strconv.ParseUint(Status(strconv.Itoa(pid), "CapPrm"), 16, 64)
	ours, oerr := strconv.ParseUint(Status("self", "CapPrm"), 16, 64)
	return err == nil && oerr == nil && ours&^theirs == 0 && seesOwn()
}

// HasRightsOfFile reports whether this process has capabilities that are not its caller's, or are not known: only those
// that are ambient, or root's, outlive an execve without the file's capabilities (capabilities(7)).
func HasRightsOfFile() bool {
	permitted, err := strconv.ParseUint(Status("self", "CapPrm"), 16, 64)
	ambient, aerr := strconv.ParseUint(Status("self", "CapAmb"), 16, 64)
	return os.Getuid() != 0 && (err != nil || aerr != nil || permitted&^ambient != 0)
}

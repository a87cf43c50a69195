package foreign

import (
	"os"
	"strconv"
	"strings"
)

// isAncestor reports whether the parent runs the program at the path of this one, which may have been
// replaced since.
func isAncestor() bool {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return false
	}
	parent, err := os.Readlink("/proc/" + strconv.Itoa(os.Getppid()) + "/exe")
	return err == nil && strings.TrimSuffix(parent, " (deleted)") == own
}

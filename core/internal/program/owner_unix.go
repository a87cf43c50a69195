//go:build unix

package program

import (
	"fmt"
	"io/fs"
	"syscall"
)

// owner names the owner of a file for an error.
func owner(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf(", owner %d:%d", st.Uid, st.Gid)
}

//go:build unix

package control

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// ownedBy names the owner of a path, or of the directory that hides it; empty if that can't be seen either.
func ownedBy(path string) string {
	for {
		if fi, err := os.Lstat(path); err == nil {
			st, ok := fi.Sys().(*syscall.Stat_t)
			if !ok {
				return ""
			}
			name := strconv.Itoa(int(st.Uid))
			if u, err := user.LookupId(name); err == nil {
				name = u.Username
			}
			return fmt.Sprintf(" (%s, mode %#o, belongs to %s)", path, fi.Mode().Perm(), name)
		}
		up := filepath.Dir(path)
		if up == path {
			return ""
		}
		path = up
	}
}

package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The files that say who is in which group: see passwd(5) and group(5). Tests have others.
var passwdFile, groupFile = "/etc/passwd", "/etc/group"

// isForOwnGroup reports whether it is a directory in which beside its owner only a group can write that is ours.
func (e *entry) isForOwnGroup() bool {
	_, gid := ids(e.info)
	return e.info.IsDir() && e.info.Mode().Perm()&0o002 == 0 && isOurs(gid) && !e.hasACL()
}

// hasACL reports whether an access control list may let others write, which shows in the mode of the group: acl(5).
func (e *entry) hasACL() bool {
	_, err := syscall.Getxattr(fmt.Sprintf("/proc/self/fd/%d", e.file.Fd()), "system.posix_acl_access", nil) //nolint:forbidigo // it is a file, and nobody else has it
	return !errors.Is(err, syscall.ENODATA) && !errors.Is(err, syscall.EOPNOTSUPP)
}

// isOurs reports whether a group has no member but root and this process's user, as far as the system's files tell:
//
//   - The group root, of which containers have files that any user of theirs may write. Users whose first group it is
//     count as root: systems have some for a purpose of their own.
//   - This process's own group, if it is the user's private one: USERGROUPS_ENAB in login.defs(5). One without a name
//     is, if it has the number of the user.
func isOurs(gid int) bool {
	user := os.Geteuid()
	if gid != 0 && gid != os.Getegid() {
		return false
	}
	users, err := records(passwdFile, 4)
	groups, gerr := records(groupFile, 4)
	if err != nil || gerr != nil {
		return false
	}
	ours := []string{""}
	for _, u := range users { // name, password, user, group
		switch {
		case u[2] == "0" || u[2] == strconv.Itoa(user):
			ours = append(ours, u[0])
		case u[3] == strconv.Itoa(gid) && gid != 0:
			return false
		}
	}
	private := gid == 0 || gid == user
	for _, g := range groups { // name, password, group, members
		if g[2] != strconv.Itoa(gid) {
			continue
		}
		private = true
		for member := range strings.SplitSeq(g[3], ",") {
			if !slices.Contains(ours, member) {
				return false
			}
		}
	}
	return private
}

// records reads a file with a record in each line, which has n fields at least. One that is not there has none.
func records(path string, n int) (all [][]string, err error) {
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) >= n {
			all = append(all, fields)
		}
	}
	return all, nil
}

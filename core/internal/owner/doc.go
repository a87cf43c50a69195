// Package owner tells whether anybody but root and this process's user can change what lies at a path.
//
// A path is walked from the root down. Each directory on it belongs to one of the two, and its mode lets nobody else
// write. So nobody else can put another file, directory or symlink in the place of what was looked at. A POSIX access
// control list that lets somebody else write shows in the mode of the group (acl(5)).
//
// A directory that a group can write is accepted if the group is the user's own or root's, and has no other member: a
// umask of 0002 and the images of OpenShift make such directories. A program is not accepted there.
//
// A directory in which everybody can write is accepted if it is sticky, as /tmp is: nobody else can rename or remove
// what belongs to one of the two. Such a directory can't hold a program itself. While the program is replaced its name
// is free there, and somebody else can link another file of root's to it.
package owner

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrUnsupported is returned on systems whose files have no owner and mode of this kind.
var ErrUnsupported = errors.New("the owner of a file is not known on this system")

// Error says that somebody else can change what lies at a path.
type Error struct {
	Path     string // of the file, directory or symlink that somebody else can change, without symlinks above it
	Mode     fs.FileMode
	UID, GID int // its owner
	User     int // that this process runs as

	why, remedy string
}

// Error names the path, its owner and mode, and the remedy.
func (e *Error) Error() string {
	user := "root"
	if e.User != 0 {
		user = fmt.Sprintf("root and user %d", e.User)
	}
	return fmt.Sprintf("others than %s can change %s (mode %v, owner %d:%d): %s; %s",
		user, e.Path, e.Mode, e.UID, e.GID, e.why, e.remedy)
}

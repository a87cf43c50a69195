// Package acl lets single users use a file that is another user's: see acl(5).
package acl

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// attribute is where the kernel has the list, and the rest is how: see linux/posix_acl_xattr.h.
const (
	attribute = "system.posix_acl_access"
	version   = 2

	tagOwner  = 0x01
	tagUser   = 0x02
	tagGroup  = 0x04
	tagMask   = 0x10
	tagOthers = 0x20

	noID = 0xffffffff
)

// ReadWrite is what a user needs to connect to a unix socket (unix(7)).
const ReadWrite = 6

// Supported reports whether this system has such lists.
const Supported = true

// openSocket opens the unix socket at a path, so that what is changed is what was looked at: it is this user's, and no
// symlink. The name leads to it as long as the file is open.
func openSocket(path string) (f *os.File, name string, err error) {
	s, err := fd.Find(fd.WorkingDir, path, syscall.O_NOFOLLOW)
	if err != nil {
		return nil, "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	f = os.NewFile(uintptr(s), path)
	var st syscall.Stat_t
	if err = syscall.Fstat(s, &st); err == nil && (st.Mode&syscall.S_IFMT != syscall.S_IFSOCK || int(st.Uid) != os.Geteuid()) {
		err = fmt.Errorf("%s is no unix socket of this user's any more", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, "", err
	}
	return f, "/proc/self/fd/" + strconv.Itoa(s), nil
}

// Set lets these users do with the unix socket at a path what perm says, its owner the same, and nobody else anything.
func Set(path string, perm uint16, users []int) error {
	f, name, err := openSocket(path)
	if err != nil {
		return err
	}
	defer f.Close()
	users = slices.Compact(slices.Sorted(slices.Values(users)))
	b := binary.LittleEndian.AppendUint32(nil, version)
	add := func(tag, perm uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	add(tagOwner, perm, noID)
	for _, uid := range users {
		add(tagUser, perm, uint32(uid))
	}
	add(tagGroup, 0, noID)
	add(tagMask, perm, noID)
	add(tagOthers, 0, noID)
	return os.NewSyscallError("setxattr", syscall.Setxattr(name, attribute, b, 0))
}

// Clear takes the list of such a socket away, if there is one, and gives it the mode.
func Clear(path string, mode os.FileMode) error {
	if _, err := syscall.Getxattr(path, attribute, nil); err != nil {
		return nil // it has none, or is not there
	}
	f, name, err := openSocket(path)
	if err != nil {
		return err
	}
	defer f.Close()
	// First the mode: what is the list's mask now would be the group's.
	if err := os.Chmod(name, mode); err != nil {
		return err
	}
	return os.NewSyscallError("removexattr", syscall.Removexattr(name, attribute))
}

package release

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// stNoexec is ST_NOEXEC of statfs(2): no program on the file system can be executed.
const stNoexec = 0x8

// isNoexec reports whether no program in the directory can be executed.
func isNoexec(dir *os.File) bool {
	var st syscall.Statfs_t
	err := onFD(dir, func(fd int) error { return syscall.Fstatfs(fd, &st) })
	return err == nil && st.Flags&stNoexec != 0
}

// xattrCapability has the capabilities of a file, capabilities(7).
const xattrCapability = "security.capability"

// capabilities returns the capabilities of the file at path as the kernel keeps them; nil for none.
func capabilities(path string) ([]byte, error) {
	b := make([]byte, 64) // a struct vfs_ns_cap_data has 24 bytes
	n, err := syscall.Getxattr(path, xattrCapability, b)
	if errors.Is(err, syscall.ENODATA) || errors.Is(err, syscall.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, os.NewSyscallError("getxattr", err)
	}
	return b[:n], nil
}

// capabilitiesOf is capabilities for an open file, whatever is at its path.
func capabilitiesOf(f *os.File) (caps []byte, err error) {
	err = onFD(f, func(fd int) (err error) {
		caps, err = capabilities("/proc/self/fd/" + strconv.Itoa(fd))
		return err
	})
	return caps, err
}

// setCapabilities goes by the descriptor. Package syscall has no fsetxattr.
func setCapabilities(f *os.File, caps []byte) error {
	return os.NewSyscallError("setxattr", onFD(f, func(fd int) error {
		return syscall.Setxattr("/proc/self/fd/"+strconv.Itoa(fd), xattrCapability, caps, 0)
	}))
}

// running returns the files that processes execute, by /proc. Those of other users are seen by root only.
func running() (all []os.FileInfo) {
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, e := range exes {
		if fi, err := os.Stat(e); err == nil {
			all = append(all, fi)
		}
	}
	return all
}

// programOf returns the file that a process executes; nil if that can't be seen.
func programOf(pid int) os.FileInfo {
	fi, err := os.Stat("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return nil
	}
	return fi
}

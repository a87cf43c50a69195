package spawn

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
)

// CanCheck reports whether a program can be looked at before it is executed.
const CanCheck = true

// execChecked executes the open file. A script is executed by its path, because its interpreter gets that as $0, and
// opens it: nobody but those who may change the program can change what is there.
func execChecked(f *os.File, path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	if isScript(f) {
		pid, err = forkExec(path, argv, attr)
		return pid, os.NewSyscallError("exec", err)
	}
	// The child opens the file by the number of its descriptor, which it has from this process. So it must be above
	// all numbers that ForkExec uses there for the moves of attr.Files: it needs one more for each of them, and two
	// for its pipe.
	last := uintptr(len(attr.Files))
	for _, s := range attr.Files {
		last = max(last, s)
	}
	above := last + uintptr(len(attr.Files)) + 3
	s, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_DUPFD_CLOEXEC, above) //nolint:forbidigo // it is a file, and nobody else has it
	if errno != 0 {
		return 0, fmt.Errorf("no descriptor above %d is free for the program; raise the limit of descriptors (ulimit -n, LimitNOFILE=): %w", above, errno)
	}
	defer fd.Close(int(s)) //nolint:errcheck // it is closed
	if pid, err = forkExec(procPath(int(s)), argv, attr); err != nil {
		if _, serr := os.Stat("/proc/self/fd"); serr != nil {
			err = fmt.Errorf("the program can't be executed without /proc; mount it: %w", err)
		}
		return 0, os.NewSyscallError("exec", err)
	}
	return pid, nil
}

// RestoreName names this process after its program again. The kernel has named one that was executed by a descriptor
// after the number of that (proc_pid_comm(5)).
func RestoreName() {
	name := proc.OwnName()
	if name == "" || strings.Trim(name, "0123456789") != "" {
		return
	}
	if path, err := os.Executable(); err == nil {
		proc.Rename(filepath.Base(path))
	}
}

// ownFile is the file of this process, also when another one has its name by now.
var ownFile = "/proc/self/exe" // tests have another one

// capabilities is the extended attribute of a file that gives its program capabilities: see capabilities(7).
const capabilities = "security.capability"

// The revision of the attribute, in its first four bytes. Only root can set the second one. The third one can be set
// by the root of a user namespace, and counts only there.
const (
	revisionMask = 0xff000000
	revision2    = 0x02000000
)

// openProgram opens the program at the path for Exec.
func openProgram(path string) (*os.File, error) {
	s, err := fd.Find(fd.WorkingDir, path, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(s), path), nil
}

// givesRights returns nil if the file gives its program what the file of this process has given to that: it is setuid
// or setgid for the same user or group, and has capabilities.
func givesRights(f *os.File) error {
	if isScript(f) {
		return fmt.Errorf("%w, because it is a script; put the program in its place", ErrRights)
	}
	var ours, next syscall.Stat_t
	if err := syscall.Stat(ownFile, &ours); err != nil {
		return &os.PathError{Op: "stat", Path: ownFile, Err: err}
	}
	if err := syscall.Fstat(int(f.Fd()), &next); err != nil { //nolint:forbidigo // it is a file, and nobody else has it
		return &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	if ours.Mode&syscall.S_ISUID != 0 && (next.Mode&syscall.S_ISUID == 0 || next.Uid != ours.Uid) {
		return fmt.Errorf("%w; chown %d and chmod u+s the new version", ErrRights, ours.Uid)
	}
	if ours.Mode&syscall.S_ISGID != 0 && (next.Mode&syscall.S_ISGID == 0 || next.Gid != ours.Gid) {
		return fmt.Errorf("%w; chgrp %d and chmod g+s the new version", ErrRights, ours.Gid)
	}
	own, theirs := attribute(ownFile), attribute(procPath(int(f.Fd()))) //nolint:forbidigo // it is a file, and nobody else has it
	given := len(theirs) >= 4 && binary.LittleEndian.Uint32(theirs)&revisionMask == revision2
	if len(own) > 0 && !given && !bytes.Equal(own, theirs) {
		return fmt.Errorf("%w; setcap the new version", ErrRights)
	}
	return nil
}

func attribute(path string) []byte {
	b := make([]byte, 64)
	n, err := syscall.Getxattr(path, capabilities, b)
	if err != nil {
		return nil
	}
	return b[:n]
}

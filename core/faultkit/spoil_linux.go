package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

// noFiles is a limit of descriptors below every one that a program opens. Those that it has, or inherits, stay open.
const noFiles = 3

// notPossibleError is why a cell can't be tried on this machine.
type notPossibleError string

func (e notPossibleError) Error() string { return "not possible here: " + string(e) }

// deployed is the path that an upgrade starts.
func (t *experiment) deployed() string { return filepath.Join(t.dir, "prog") }

// deploy puts the shim there. By rename, so that there always is something.
func (t *experiment) deploy() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	next := t.deployed() + ".next"
	return errors.Join(os.Symlink(self, next), os.Rename(next, t.deployed()))
}

// replace puts something else there.
func (t *experiment) replace(content string) error {
	next := t.deployed() + ".next"
	return errors.Join(os.WriteFile(next, []byte(content), 0o755), os.Rename(next, t.deployed()))
}

// starve takes the descriptors from a process for a while, in which the session goes on.
func (t *experiment) starve(s *session, pid int) error {
	undo, err := limitFiles(pid)
	if err != nil {
		return err
	}
	s.let(doGo)
	return errors.Join(pause(t.ctx, shortageTime), undo())
}

// starveNew does so to the new process, but at the start, where the launcher has been told to.
func (t *experiment) starveNew(s *session) error {
	if t.cell.step == stepStart {
		return nil
	}
	return t.starve(s, s.victim())
}

// limitFiles lets a process open nothing more, until undo.
func limitFiles(pid int) (undo func() error, err error) {
	var was syscall.Rlimit
	if err := prlimit(pid, nil, &was); err != nil {
		return nil, err
	}
	now := syscall.Rlimit{Cur: noFiles, Max: was.Max}
	return func() error { return prlimit(pid, &was, nil) }, prlimit(pid, &now, nil)
}

// prlimit is prlimit(2) on RLIMIT_NOFILE, which package syscall has no function for.
func prlimit(pid int, set, get *syscall.Rlimit) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("prlimit of process %d: %w", pid, errno)
	}
	return nil
}

// ownDisk lets the launcher start the first generation, with a small file system
// of its own where its pid file is.
func (t *experiment) ownDisk(cmd *exec.Cmd) (err error) {
	dir := filepath.Dir(t.pidFile)
	if rel, err := filepath.Rel(filepath.Join(t.dir, runDir), dir); err != nil || strings.HasPrefix(rel, "..") {
		return notPossibleError("the program has no pid file in " + dirWord + "/" + runDir + " (-pidfile)")
	}
	if cmd.Path, err = os.Executable(); err != nil {
		return err
	}
	attr := cmd.SysProcAttr
	attr.Cloneflags = syscall.CLONE_NEWNS
	if uid := os.Getuid(); uid != 0 {
		// Root in a user namespace may mount; anybody else there may not, after exec.
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd.Env = append(cmd.Env, launchEnv(0, dir))
	return nil
}

// fillDisk fills the file system of the pid file.
func (t *experiment) fillDisk() (undo func() error, err error) {
	path := fmt.Sprintf("/proc/%d/root%s/fill", t.first, filepath.Dir(t.pidFile))
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return nil, fmt.Errorf("a disk that should be too small: %w", err)
	}
	return func() error { return os.Remove(path) }, nil
}

// envLaunch makes a process the launcher, which becomes the program under test. What needs no privilege in the
// process itself would need some from outside.
const envLaunch = "GRACEX_FAULTKIT_LAUNCH"

// launchEnv is the launcher's variable: its limit of descriptors, 0 for as it is, and a directory to mount a small
// file system on, in a mount namespace that it has already; empty for none.
func launchEnv(files uint64, mount string) string {
	return fmt.Sprintf("%s=%d %q", envLaunch, files, mount)
}

// smallDisk is the size of the file system. It has room for a pid file.
const smallDisk = "size=16k"

// launch carries the plan out, in this very process. It returns only an error.
func launch(plan string) error {
	var files uint64
	var mount string
	if _, err := fmt.Sscanf(plan, "%d %q", &files, &mount); err != nil {
		return fmt.Errorf("%s: %w", envLaunch, err)
	}
	if mount != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make the mounts private: %w", err)
		}
		if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, smallDisk); err != nil {
			return fmt.Errorf("mount on %s: %w", mount, err)
		}
	}
	if files > 0 {
		// Not prlimit, after which syscall.Exec would restore the limit that Go has raised.
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
			return fmt.Errorf("lower the limit of descriptors to %d: %w", files, err)
		}
	}
	program := programIn(os.Getenv(envShim))
	err := os.Unsetenv(envLaunch)
	if err == nil {
		err = syscall.Exec(program, os.Args, os.Environ())
	}
	return fmt.Errorf("exec %s: %w", program, err)
}

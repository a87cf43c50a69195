package deploytest

import (
	"fmt"
	"os/exec"
	"strconv"
	"syscall"
)

// Namespaces is why this machine can't give a process a namespace of each kind that
// flags name (CLONE_NEWPID and so on), or nil.
func Namespaces(flags uintptr) error {
	cmd := exec.Command("/bin/sh", "-c", "mount --make-rprivate / && mount -t proc proc /proc")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("no process can be started in namespaces of its own: %w %s", err, out)
	}
	return nil
}

// PID1 prepares a process that is pid 1 of a pid namespace and has mounts of its own.
// The shell script prepares the mounts, and the process becomes args. It is what
// "unshare --pid --fork --mount --mount-proc --kill-child" starts. With pid 1, which the
// test starts by Start with SIGKILL, everything in the namespace ends.
func PID1(flags uintptr, script string, args ...string) *exec.Cmd {
	script = "set -e; mount --make-rprivate /; mount -t proc proc /proc\n" + script + "\n" + `exec "$@"`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	// It leads a session, as a container's pid 1 does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | flags}
	return cmd
}

// Inside runs a command in the namespaces of p, as "docker exec" does, and returns what it writes.
func (p *Process) Inside(name string, args ...string) (string, error) {
	p.t.Helper()
	enter := []string{"--target", strconv.Itoa(p.PID()), "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--", name}
	out, err := exec.Command("nsenter", append(enter, args...)...).CombinedOutput()
	return string(out), err
}

// MustInside is Inside where the command has to succeed.
func (p *Process) MustInside(name string, args ...string) string {
	p.t.Helper()
	out, err := p.Inside(name, args...)
	if err != nil {
		p.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

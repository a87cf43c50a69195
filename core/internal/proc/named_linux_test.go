package proc

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/internal/must"
)

// started starts a process of the user that waits for the end of the test. Of this process's capabilities it has the ambient
// ones beside those of its user.
func started(t *testing.T, user int, ambient ...uintptr) int {
	t.Helper()
	cmd := exec.Command("cat")
	if user != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}, AmbientCaps: ambient,
		}
	}
	in := must.Get(cmd.StdinPipe())(t)
	must.Do(t, cmd.Start())
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

// TestNamed: a process is not led to signal another one for a peer that could not do it itself.
func TestNamed(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can start processes of other users")
	}
	const peer, third = 65534, 65533
	root, worker, sibling, other := started(t, 0), started(t, peer), started(t, peer), started(t, third)
	by := fd.Speaker{PID: worker, UID: peer}
	for name, c := range map[string]struct {
		said int
		by   fd.Speaker
		want int // 0: it is refused
	}{
		"itself":                        {worker, by, worker},
		"another of its user's":         {sibling, by, sibling},
		"root's":                        {root, by, 0},
		"this one":                      {os.Getpid(), by, 0},
		"another user's":                {other, by, 0},
		"init":                          {1, by, 0},
		"init, by itself":               {1, fd.Speaker{PID: 1}, 0},
		"none":                          {-1, by, 0},
		"by root, a descendant":         {other, fd.Speaker{PID: root}, other},
		"by root, the parent":           {os.Getppid(), fd.Speaker{PID: root}, 0},
		"by nobody knows whom":          {worker, fd.Speaker{}, 0},
		"root's by nobody knows whom":   {root, fd.Speaker{}, 0},
		"number that was another one's": {other, fd.Speaker{PID: other, UID: peer}, 0},
	} {
		p, err := Named(c.said, c.by)
		if err == nil {
			_ = p.Release()
		}
		if (err == nil) != (c.want != 0) || c.want == 0 && c.said > 1 && !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// In a pid namespace of its own it knows another number, which is another process's here.
	p, err := Itself(root, by)
	if err != nil || p.Pid != worker {
		t.Errorf("%v, %v", p, err)
	}
}

func TestIsDescendant(t *testing.T) {
	t.Parallel()
	child := started(t, os.Getuid())
	for _, c := range []struct {
		pid, ancestor int
		want          bool
	}{
		{child, os.Getpid(), true}, {child, os.Getppid(), true}, {os.Getpid(), child, false}, {child, child, false},
		{os.Getpid(), os.Getpid(), false}, {1 << 30, os.Getpid(), false},
	} {
		if got := IsDescendant(c.pid, c.ancestor); got != c.want {
			t.Errorf("%d of %d: %v", c.pid, c.ancestor, got)
		}
	}
}

func TestIsAncestor(t *testing.T) {
	t.Parallel()
	above, known := Parent(os.Getppid())
	if !IsAncestor(os.Getppid()) || known && above > 0 && !IsAncestor(above) {
		t.Errorf("%d and %d are above this process", os.Getppid(), above)
	}
	if IsAncestor(started(t, os.Getuid())) || IsAncestor(os.Getpid()) {
		t.Error("neither a child nor this process is above it")
	}
}

// TestHasRightsOfThis: the users and the capabilities count, each by itself.
func TestHasRightsOfThis(t *testing.T) {
	t.Parallel()
	if !HasRightsOfThis(started(t, os.Getuid())) {
		t.Error("a child has fewer rights")
	}
	if HasRightsOfThis(1 << 30) {
		t.Error("no process has rights")
	}
	ours := must.Get(strconv.ParseUint(Status("self", "CapPrm"), 16, 64))(t)
	if os.Getuid() != 0 || ours == 0 {
		t.Skip("only root can start processes with other rights")
	}
	if HasRightsOfThis(started(t, 65534)) {
		t.Error("nobody has the rights of root")
	}
	var all []uintptr
	for c := range uintptr(64) {
		if ours>>c&1 != 0 {
			all = append(all, c)
		}
	}
	if HasRightsOfThis(started(t, 65534, all...)) {
		t.Error("nobody has the rights of root, with root's capabilities")
	}
	// A process that this thread starts gets no more of it by an execve. The thread ends with the test.
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_CAPBSET_DROP, all[0], 0); errno != 0 {
		t.Fatal(errno)
	}
	if HasRightsOfThis(started(t, 0)) {
		t.Error("root has the rights of root, without one of root's capabilities")
	}
}

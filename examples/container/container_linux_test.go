package container

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envNamespaces makes the test fail where no namespaces can be had.
const envNamespaces = "CORE_TEST_NAMESPACES"

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

// TestPID1: the example as a container runs it. Upgrades, a worker that is killed, a process that nobody
// waits for, and a stop: the container lives on through all but the last, which is clean.
func TestPID1(t *testing.T) {
	t.Parallel()
	deploytest.Need(t, envNamespaces, deploytest.Namespaces(syscall.CLONE_NEWPID|syscall.CLONE_NEWNS),
		"it takes root, and a sandbox that permits unshare(2) and mount(2)")
	app := filepath.Join(t.TempDir(), "server")
	proctest.Build(t, app, deploytest.Example)
	addr := proctest.FreeAddr(t)
	cmd := deploytest.PID1(0, "", app, "-addr", addr, "-drain", "25s", "-probation", "0")
	// A container has the variables that its image names.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	p := deploytest.Start(t, cmd, syscall.SIGKILL)
	proctest.Await(t, "it serves", func() bool { _, err := deploytest.Post(addr, "/", ""); return err == nil || !p.Running() })
	if a := deploytest.MustPost(t, addr, "/", "hello"); a.PID != "1" {
		t.Errorf("process %s serves before the first upgrade, want 1", a.PID)
	}

	run := deploytest.Load(t, addr)
	for i := range 5 {
		p.Signal(syscall.SIGHUP)
		deploytest.AwaitGeneration(t, run, strconv.Itoa(i+1))
		if i == 0 {
			deploytest.AwaitSupervisor(t, p.PID(), "server")
		}
	}
	deploytest.StopLoad(t, run)

	orphan(t, p)

	bad := deploytest.MustPost(t, addr, "/", "")
	p.MustInside("kill", "-KILL", bad.PID)
	proctest.Await(t, "it is gone", func() bool { _, err := p.Inside("kill", "-0", bad.PID); return err != nil })
	if a := deploytest.MustPost(t, addr, "/", "after"); a.PID == bad.PID {
		t.Errorf("process %s, which was killed, has answered", a.PID)
	}

	answer := deploytest.Hold(t, addr, "500ms")
	p.Signal(syscall.SIGTERM)
	if _, err := answer(); err != nil {
		t.Errorf("the answer that was under way when the stop came: %v", err)
	}
	if code := p.AwaitEnd(); code != 0 {
		t.Errorf("pid 1 has exited with %d", code)
	}
}

// orphan leaves a process behind in the container, as a worker or "docker exec" may, ends
// it, and waits until pid 1 has waited for it.
func orphan(t *testing.T, p *deploytest.Process) {
	t.Helper()
	pid := strings.TrimSpace(p.MustInside("sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"))
	left := func() bool { return slices.Contains(childrenOf1(t, p), pid) }
	proctest.Await(t, "pid 1 has the orphan", left)
	p.MustInside("kill", "-KILL", pid)
	proctest.Await(t, "the orphan is waited for", func() bool { return !left() })
}

// childrenOf1 lists the children of pid 1, zombies too, by their numbers in the namespace.
func childrenOf1(t *testing.T, p *deploytest.Process) []string {
	t.Helper()
	return strings.Fields(p.MustInside("sh", "-c", "cat /proc/1/task/*/children"))
}

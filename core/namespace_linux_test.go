package core_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// inNamespaces has an app start in namespaces of its own.
func inNamespaces(t *testing.T, a *app, flags uintptr) {
	t.Helper()
	try := exec.Command("true")
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := try.Run(); err != nil {
		if os.Getenv("CORE_TEST_NAMESPACES") != "" {
			t.Fatal(err)
		}
		t.Skip("no namespaces can be had: ", err)
	}
	a.attr = &syscall.SysProcAttr{Cloneflags: flags}
}

// TestNamespace_AnotherPIDNamespaceIsNotMistakenForThisOne has an app whose process 1 is another one here.
func TestNamespace_AnotherPIDNamespaceIsNotMistakenForThisOne(t *testing.T) {
	t.Parallel()
	a := installed(t)
	inNamespaces(t, a, syscall.CLONE_NEWPID)
	a.start("app", "./app", "-control", "ctl.sock", "-drain", "4m")
	first := a.expect("ready", 0)
	c, err := control.Find(t.Context(), control.Query{PID: a.cmd.Process.Pid})
	must(t, err)
	st, err := c.Status(t.Context())
	must(t, err)
	if st.PID != 1 || !st.Elsewhere() || c.Path() != a.path("ctl.sock") {
		t.Errorf("%s: %+v", c.Path(), st)
	}
	expectText(t, control.StatusText(st, time.Now(), 0), "in another pid namespace")
	stream := asked(t, first.Addrs[0], "/hijack?stay=1")
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Hijacked == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- c.StopAndWait(ctx) }()
	a.expectLog("msg=draining", 1)
	cancel()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("a stop that has not ended = %v", err)
	}
	stream.Close()
	a.expectGone()
}

// TestNamespace_StopFromOutsideEndsWithTheApp and does not wait for processes here that have the app's numbers.
func TestNamespace_StopFromOutsideEndsWithTheApp(t *testing.T) {
	t.Parallel()
	a := installed(t)
	inNamespaces(t, a, syscall.CLONE_NEWPID)
	a.start("app", "./app", "-control", "ctl.sock")
	a.expect("ready", 0)
	must(t, control.Dial(a.path("ctl.sock")).StopAndWait(t.Context()))
	a.endsWell(0)
	a.expectGone()
}

// TestNamespace_FirstProcessOfAContainerStays the main process, also if systemd hears of it: the container ends
// with it.
func TestNamespace_FirstProcessOfAContainerStays(t *testing.T) {
	t.Parallel()
	a := installed(t)
	inNamespaces(t, a, syscall.CLONE_NEWPID)
	m := manage(t, a, []string{core.EnvMode + "="})
	a.start("app", "./app", "-probation", "0")
	first := a.expect("ready", 0)
	a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.becomesSupervisor()
	expectServes(t, first.Addrs[0], second.PID)
	for _, said := range m.all() {
		if strings.Contains(said, "MAINPID=") && !strings.Contains(said+"\n", "MAINPID=1\n") {
			t.Errorf("systemd was told of another main process: %q", said)
		}
	}
	a.stopsWell()
}

// TestNamespace_SocketInAnotherMountNamespaceIsFound through the process.
func TestNamespace_SocketInAnotherMountNamespaceIsFound(t *testing.T) {
	t.Parallel()
	a := installed(t)
	inNamespaces(t, a, syscall.CLONE_NEWNS)
	deployWrapper(t, a, "mount --make-rprivate / && mount -t tmpfs none run && exec ./real \"$@\"\n")
	must(t, os.Mkdir(a.path("run"), 0o700))
	a.start("app", "./app", "-control", "run/ctl.sock")
	first := a.expect("ready", 0)
	if _, err := os.Stat(a.path("run/ctl.sock")); err == nil {
		t.Fatal("the socket is in this mount namespace")
	}
	c, err := control.Find(t.Context(), control.Query{PID: first.PID})
	must(t, err)
	must(t, c.StopAndWait(t.Context()))
	a.endsWell(0)
}

func init() {
	programs["controlfind"] = func() {
		c, err := control.Find(context.Background(), control.Query{PIDFile: os.Args[1]})
		if err == nil {
			emit(event{Event: "found", Err: c.Path()})
			return
		}
		emit(event{Event: "missed", Err: err.Error()})
	}
}

// TestControlFind_LooksFurtherThanADirectoryOfRoots: the default directory is another user's, and the app has a socket
// of its own.
func TestControlFind_LooksFurtherThanADirectoryOfRoots(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can have a directory that the app's user can't enter")
	}
	a := installed(t)
	unprivileged(t, a)
	must(t, os.MkdirAll(a.path("run/gracex"), 0o755))
	must(t, os.Chmod(a.path("run/gracex"), 0o700))
	must(t, os.Mkdir(a.path("own"), 0o700))
	must(t, os.Chown(a.path("own"), int(a.attr.Credential.Uid), int(a.attr.Credential.Gid)))
	a.env = []string{"XDG_RUNTIME_DIR=" + a.path("run")}
	a.start("app", "./app", "-control", "own/ctl.sock", "-pidfile", "own/app.pid")
	a.expect("ready", 0)
	find := func() *app {
		b := &app{t: t, dir: a.dir, env: a.env, attr: a.attr}
		b.start("controlfind", "./app", filepath.Join("own", "app.pid"))
		return b
	}
	if got := find().expect("found", 0).Err; got != a.path("own/ctl.sock") {
		t.Errorf("found %s", got)
	}
	a.signal(a.PID(), syscall.SIGKILL)
	a.expectGone()
	expectText(t, find().expect("missed", 0).Err, control.ErrPermission.Error(), "belongs to root")
}

//go:build unix

package core_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// What crosses a handover, with real processes that stand still at the wrong time.

func init() { programs["twice"] = playTwice }

// playTwice serves on the address in ADDRESS, and if that fails on any other.
func playTwice() {
	for _, address := range []string{os.Getenv("ADDRESS"), "127.0.0.1:0"} {
		err := core.Run(func(u *core.Upgrader) error {
			ln, err := u.Listen(context.Background(), "tcp", address)
			if err != nil {
				return err
			}
			emit(event{Event: "listens", Addrs: []string{ln.Addr().String()}})
			return u.Attach(&http.Server{Handler: http.NotFoundHandler()}, ln)
		}, core.WithoutControlSocket(), core.OnReopen(func() { emit(event{Event: "reopen"}) }))
		emit(event{Event: "ran", Err: fmt.Sprint(err)})
	}
}

// startTwice starts it under a supervisor, and returns when its second Upgrader serves.
func startTwice(t *testing.T) *app {
	t.Helper()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { taken.Close() })
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.env = []string{core.EnvMode + "=supervised", "ADDRESS=" + taken.Addr().String()}
	a.start("twice", "./app")
	resp, err := http.Get("http://" + a.expect("listens", 0).Addrs[0])
	must(t, err)
	must(t, resp.Body.Close())
	return a
}

// TestSupervisedSecondUpgrader_HearsEverySignal: a program that tries again after its first Run has failed
// gets what the supervisor is asked for.
func TestSupervisedSecondUpgrader_HearsEverySignal(t *testing.T) {
	t.Parallel()
	a := startTwice(t)
	reopened := func() (n int) {
		for _, ev := range a.all() {
			if ev.Event == "reopen" {
				n++
			}
		}
		return n
	}
	for end := time.Now().Add(patience); reopened() == 0; time.Sleep(10 * time.Millisecond) {
		a.signal(a.cmd.Process.Pid, syscall.SIGUSR1) // the supervisor may not know yet that it serves
		if time.Now().After(end) {
			t.Fatal("it does not open its logs anew")
		}
	}
	for range 8 {
		n := reopened()
		a.signal(a.cmd.Process.Pid, syscall.SIGUSR1)
		a.expect("reopen", n)
	}
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedSecondUpgrader_StopsWithTheSupervisor: it stops in its own way.
func TestSupervisedSecondUpgrader_StopsWithTheSupervisor(t *testing.T) {
	t.Parallel()
	a := startTwice(t)
	a.signal(a.cmd.Process.Pid, syscall.SIGKILL)
	if ev := a.expect("ran", 1); ev.Err != fmt.Sprint(error(nil)) {
		t.Errorf("it ends with %q", ev.Err)
	}
}

// TestSupervisedStop_HooksCrossReady: a new process that gets ready while the hooks of a stop run
// does not get the service.
func TestSupervisedStop_HooksCrossReady(t *testing.T) {
	t.Parallel()
	a := supervised(t, []string{"APP_HOOKS=1"}, "-probation", "4m")
	master := a.cmd.Process.Pid
	a.expect("ready", 0)
	a.setMode("wait")
	a.signal(master, syscall.SIGHUP)
	next := a.expect("checking", 0)
	a.freeze(next.PID)
	a.setMode("slow")
	a.signal(master, syscall.SIGTERM)
	n := 0
	for a.expect("before", n).Err != syscall.SIGTERM.String() {
		n++ // SIGUSR2's, if the supervisor did not know yet that it serves
	}
	a.signal(next.PID, syscall.SIGCONT)
	if ev := a.expect("end", 0); ev.PID != next.PID { // it was told so before the hooks are done
		t.Errorf("process %d ends first, want %d", ev.PID, next.PID)
	}
	a.setMode("")
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedReopen_CrossesHandover: the process that serves opens its logs anew; the old one on
// probation may do so, too, if the supervisor did not know yet.
func TestSupervisedReopen_CrossesHandover(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-probation", "4m")
	master := a.cmd.Process.Pid
	first := a.expect("ready", 0)
	a.freeze(master)
	a.signal(first.PID, syscall.SIGHUP)
	next := a.expect("ready", 1)
	a.signal(master, syscall.SIGUSR1)
	a.signal(master, syscall.SIGCONT)
	n := 0
	for a.expect("reopen", n).PID != next.PID {
		n++ // the old one may be asked twice
	}
	a.signal(master, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedPIDFile_StaysBesideAFailedUpgrade: a worker that does not get the service, or gives it back,
// leaves the file alone, whatever its main still does.
func TestSupervisedPIDFile_StaysBesideAFailedUpgrade(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"check", "rejects"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := supervised(t, nil, "-pidfile", "app.pid", "-probation", "4m", "-linger")
			a.expect("ready", 0)
			a.setMode(mode)
			a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
			if got := readPID(t, a); got != strconv.Itoa(a.cmd.Process.Pid) {
				t.Errorf("the pid file has %q, want %d", got, a.cmd.Process.Pid)
			}
		})
	}
}

func readPID(t *testing.T, a *app) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(a.dir, "app.pid"))
	return strings.TrimSpace(cmp.Or(string(b), fmt.Sprint(err)))
}

// TestAloneThenCommitForGood: a process that has gone on alone hears that the old one hands over,
// and does what that was asked for meanwhile.
func TestAloneThenCommitForGood(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "0", "-handoff=false")
	old := a.expect("ready", 0)
	c := rawhttp.Dial(t, old.Addrs[0])
	c.Ask("/?hold=go") // holds up the drain
	a.expect("handling", 0)
	a.setMode("wait")
	a.signal(old.PID, syscall.SIGHUP)
	a.expect("checking", 0)
	a.signal(old.PID, syscall.SIGHUP)
	a.expectLog("one more follows it", 1)
	a.freeze(old.PID)
	a.setMode("")
	a.expectLog("goes on alone", 1)
	a.signal(old.PID, syscall.SIGCONT)
	a.expect("ready", 2)
	must(t, os.WriteFile(filepath.Join(a.dir, "go"), nil, 0o644))
	if r := c.Answer(); r.StatusCode != http.StatusOK {
		t.Errorf("the answer that was held is %+v", r)
	}
}

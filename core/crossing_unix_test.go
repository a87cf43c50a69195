//go:build unix

package core_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
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
func startTwice(t *testing.T) (a *app, supervisor int) {
	t.Helper()
	a = installed(t)
	a.env = []string{core.EnvMode + "=supervised", "ADDRESS=" + occupied(t)}
	a.start("twice", "./app")
	expectAnswers(t, a.expect("listens", 0).Addrs[0])
	return a, a.PID()
}

// TestSupervisedSecondUpgrader_HearsEverySignal: it is made after the first Run of a program has failed.
func TestSupervisedSecondUpgrader_HearsEverySignal(t *testing.T) {
	t.Parallel()
	a, supervisor := startTwice(t)
	proctest.Await(t, "it opens its logs anew", func() bool {
		a.signal(supervisor, syscall.SIGUSR1) // which may not know yet that it serves
		return len(a.of("reopen")) > 0
	})
	for range 8 {
		n := len(a.of("reopen"))
		a.signal(supervisor, syscall.SIGUSR1)
		a.expect("reopen", n)
	}
	a.stopsWell()
}

func TestSupervisedSecondUpgrader_StopsWithTheSupervisor(t *testing.T) {
	t.Parallel()
	a, supervisor := startTwice(t)
	a.signal(supervisor, syscall.SIGKILL)
	if ev := a.expect("ran", 1); ev.Err != fmt.Sprint(error(nil)) {
		t.Errorf("it ends with %q", ev.Err)
	}
}

// TestSupervisedStop_HooksCrossReady: a new process that gets ready meanwhile does not get the service.
func TestSupervisedStop_HooksCrossReady(t *testing.T) {
	t.Parallel()
	a := supervised(t, []string{"APP_HOOKS=1"}, "-probation", "4m")
	a.expect("ready", 0)
	a.setMode("wait")
	a.signal(a.PID(), syscall.SIGHUP)
	next := a.expect("checking", 0)
	a.freeze(next.PID)
	a.setMode("slow")
	a.signal(a.PID(), syscall.SIGTERM)
	n := 0
	for a.expect("before", n).Err != syscall.SIGTERM.String() {
		n++ // SIGUSR2's, if the supervisor did not know yet that it serves
	}
	a.signal(next.PID, syscall.SIGCONT)
	if ev := a.expect("end", 0); ev.PID != next.PID { // it was told so before the hooks are done
		t.Errorf("process %d ends first, want %d", ev.PID, next.PID)
	}
	a.setMode("")
	a.exitsWell()
}

// TestSupervisedReopen_CrossesHandover: the old process on probation may open its logs anew, too.
func TestSupervisedReopen_CrossesHandover(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-probation", "4m")
	first := a.expect("ready", 0)
	a.freeze(a.PID())
	a.signal(first.PID, syscall.SIGHUP)
	next := a.expect("ready", 1)
	a.signal(a.PID(), syscall.SIGUSR1)
	a.signal(a.PID(), syscall.SIGCONT)
	n := 0
	for a.expect("reopen", n).PID != next.PID {
		n++ // the old one may be asked twice
	}
	a.stopsWell()
}

// TestSupervisedPIDFile_StaysBesideAFailedUpgrade: whatever the main of the failed worker does.
func TestSupervisedPIDFile_StaysBesideAFailedUpgrade(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"check", "rejects"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := supervised(t, nil, "-pidfile", "app.pid", "-probation", "4m", "-linger")
			a.expect("ready", 0)
			a.setMode(mode)
			a.signal(a.PID(), syscall.SIGHUP)
			a.expect("lingers", 0) // the Run of the failed worker has returned
			if got := readPID(a); got != itoa(a.PID()) {
				t.Errorf("the pid file has %q, want %d", got, a.PID())
			}
		})
	}
}

// readPID returns what the pid file has, or the error.
func readPID(a *app) string {
	b, err := os.ReadFile(a.path("app.pid"))
	return strings.TrimSpace(cmp.Or(string(b), fmt.Sprint(err)))
}

// TestAlone_LateCommitIsForGood: the process that went on alone does what it was asked for meanwhile.
func TestAlone_LateCommitIsForGood(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "0", "-handoff=false")
	old := a.expect("ready", 0)
	c := asked(t, old.Addrs[0], "/?hold=go") // holds up the drain
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
	a.write("go", "")
	if r := c.Answer(); r.StatusCode != http.StatusOK {
		t.Errorf("the answer that was held is %+v", r)
	}
}

//go:build unix

package core_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envStarter makes the test fail where there is no start_server. Without it, it is skipped
// there.
const envStarter = "CORE_TEST_STARTER"

// startStarter starts start_server, which starts the program that has been installed.
func (a *app) startStarter() (addr string) {
	t := a.t
	t.Helper()
	starter, err := exec.LookPath("start_server")
	if err != nil {
		if os.Getenv(envStarter) != "" {
			t.Fatal(err)
		}
		t.Skip("no start_server here (Debian: libserver-starter-perl); ", envStarter, "=1 makes that a failure")
	}
	addr = proctest.FreeAddr(t) // start_server would end at once if it were not free
	a.write("listen", "tcp,"+addr)
	a.start("app", starter, "--port="+addr, "--interval=1", "--", "./app")
	return addr
}

// signalStarter returns when start_server says that it has received n such signals. It sleeps through one that
// comes right before its wait(2), until something else happens.
func signalStarter(a *app, master int, sig syscall.Signal, n int) {
	a.t.Helper()
	name := map[syscall.Signal]string{syscall.SIGHUP: "received HUP", syscall.SIGTERM: "received TERM"}[sig]
	a.signal(master, sig)
	alarm := time.Now()
	a.Await("start_server says "+name, func() bool {
		if time.Since(alarm) > time.Second {
			_ = syscall.Kill(master, syscall.SIGALRM) // which means nothing to it
			alarm = time.Now()
		}
		return a.Log.Count(name) >= n
	})
}

// TestStarter_ReloadsLoseNothing has the real Server::Starter, whose sockets are blocking and open in one family.
func TestStarter_ReloadsLoseNothing(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	placeAlone(t, "predecessor", a.path("app"))
	a.env = []string{"PREDECESSOR=starter", "PREDECESSOR_WORKER=1"}
	addr := a.startStarter()
	master := a.cmd.Process.Pid
	old := a.expect("predecessor", 0)

	runs, blames := loads([]string{addr}, old.PID)
	deploy(t, a, func(path string) { install(t, path) })
	for i := range 3 {
		signalStarter(a, master, syscall.SIGHUP, i+1)
		next := a.expect("ready", i)
		awaitServed(t, runs[0], load.Server{PID: itoa(next.PID), Generation: "0"})
		if i == 0 {
			a.expect("left", 0)
		} else if end := a.endsWell(i - 1); end.PID != old.PID {
			t.Errorf("process %d ended, want %d", end.PID, old.PID)
		}
		old = next
	}
	judge(t, runs, blames)
	signalStarter(a, master, syscall.SIGTERM, 1)
	a.expect("end", 2)
	a.expectGone()
}

//go:build unix

package core_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/internal/load"
)

// startWorker starts a master and has it start a worker on gracex, by sig.
func startWorker(t *testing.T, protocol string, sig syscall.Signal, env ...string) (a *app, worker event, addrs []string) {
	t.Helper()
	a, old, addrs := startPredecessor(t, protocol, 2, env...)
	runs, blames := loads(addrs, old.PID)
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(old.PID), Generation: "0"})
	}
	deploy(t, a, func(path string) { install(t, path) })
	a.signal(a.cmd.Process.Pid, sig)
	worker = a.expect("ready", 0)
	a.expect("left", 0)
	judge(t, runs, blames)
	return a, worker, addrs
}

// masterEnds waits for that.
func masterEnds(t *testing.T, a *app) {
	t.Helper()
	if status := a.AwaitExit(); status != 0 {
		t.Errorf("the master ended with %v", a.cmd.ProcessState)
	}
}

// leave has the worker leave its master, which ends, under load, and upgrades the process that is free then.
func leave(t *testing.T, a *app, worker event, addrs []string) {
	t.Helper()
	runs, blames := loads(addrs, 0)
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(worker.PID), Generation: "0"})
	}
	readies := 0
	for _, ev := range a.all() {
		if ev.Event == "ready" {
			readies++
		}
	}
	if err := a.call(addrs[0], "/leave"); err != nil {
		t.Fatal(err)
	}
	free := a.expect("ready", readies)
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(free.PID), Generation: "1"})
	}
	masterEnds(t, a)
	a.signal(free.PID, syscall.SIGUSR2)
	next := a.expect("ready", readies+1)
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(next.PID), Generation: "2"})
	}
	judge(t, runs, blames)
	a.signal(next.PID, syscall.SIGTERM)
	a.expectGone()
	for _, ev := range a.all() {
		switch {
		case ev.Event == "respawned":
			t.Error("the master has replaced the worker that left")
		case ev.Event == "end" && ev.Err != "":
			t.Errorf("process %d ended with %s", ev.PID, ev.Err)
		}
	}
}

// TestLeave: a worker gets out of the hands of its master, which ends; nobody is refused or cut, and from then
// on upgrades are gracex's own.
func TestLeave(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		protocol string
		sig      syscall.Signal
		env      []string
	}{
		"graceful": {"graceful", syscall.SIGHUP, nil},
		"overseer": {"overseer", syscall.SIGUSR2, nil},
		"starter":  {"starter", syscall.SIGHUP, []string{"APP_PROBATION=100ms"}},
		// It sleeps through the first signal, as the real one does if that comes right before its wait(2).
		"starter, deaf": {"starter", syscall.SIGHUP, []string{"PREDECESSOR_DEAF=1"}},

		"einhorn":     {"einhorn", syscall.SIGHUP, nil},
		"einhorn, -g": {"einhorn", syscall.SIGHUP, []string{"EINHORN_G=1", "APP_PROBATION=100ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, worker, addrs := startWorker(t, c.protocol, c.sig, c.env...)
			leave(t, a, worker, addrs)
		})
	}
}

// TestLeaveServerStarter is that with the real one.
func TestLeaveServerStarter(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	addr := a.startStarter()
	leave(t, a, a.expect("ready", 0), []string{addr})
}

// TestLeaveWaits: the master, which tells all of its workers to end, is not ended before those from earlier
// reloads have drained. To them it would be impatience.
func TestLeaveWaits(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("what the master has started can't be told here")
	}
	for _, drain := range []string{"30s", "0"} { // 0: no limit
		t.Run(drain, func(t *testing.T) {
			t.Parallel()
			a, slow, addrs := startWorker(t, "starter", syscall.SIGHUP)
			client := dialQuietly(t, addrs[0], slow.PID)
			client.begin(t)
			must(t, os.WriteFile(filepath.Join(a.dir, "drain"), []byte(drain), 0o600)) // of the worker that leaves
			a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
			a.expect("ready", 1)
			a.expect("signalled", 1)
			a.expectLog("msg=draining", 1)
			if err := a.call(addrs[0], "/leave"); err != nil {
				t.Fatal(err)
			}
			free := a.expect("ready", 2)
			a.expectLog("msg=draining", 2)
			time.Sleep(10 * timing.IdleTick) // for longer than it takes to cut
			if strings.Contains(a.log(), "the master ends") {
				t.Error("the master is told to end while a worker drains")
			}
			client.finish(t, slow.PID)
			client.c.Close()
			masterEnds(t, a)
			a.signal(free.PID, syscall.SIGTERM)
			a.expectGone()
		})
	}
}

// TestLeaveRolledBack: until the probation is over the service is the master's: a bad new process, a reload and
// a stop are as if nothing had been begun.
func TestLeaveRolledBack(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(t *testing.T, a *app, worker, free event, addr string){
		"bad": func(t *testing.T, a *app, worker, free event, addr string) {
			if err := a.call(addr, "/reject?why=bad"); err == nil || err.Error() != "<nil>" {
				t.Errorf("process %d: Reject = %v", free.PID, err)
			}
			a.expectLog("this process serves again", 1)
			a.expect("end", 0)
			if st := getJSON[core.Ledger](t, addr, "/stats"); st.PID != worker.PID {
				t.Errorf("process %d serves, want %d", st.PID, worker.PID)
			}
		},
		"reload": func(t *testing.T, a *app, worker, _ event, addr string) {
			a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
			next := a.expect("ready", 2)
			a.expect("end", 1) // of the worker and of the one that was to be free
			if st := getJSON[core.Ledger](t, addr, "/stats"); st.PID != next.PID {
				t.Errorf("process %d serves, want %d", st.PID, next.PID)
			}
		},
		"stop": func(*testing.T, *app, event, event, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, worker, addrs := startWorker(t, "starter", syscall.SIGHUP, "APP_PROBATION=4m")
			runs, blames := loads(addrs, 0)
			done := make(chan error, 1)
			go func() {
				_, err := get(addrs[0], "/leave")
				done <- err
			}()
			free := a.expect("ready", 1)
			for _, run := range runs {
				awaitServed(t, run, load.Server{PID: itoa(free.PID), Generation: "1"})
			}
			how(t, a, worker, free, addrs[0])
			judge(t, runs, blames)
			a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
			<-done
			a.expectGone()
			for _, ev := range a.all() {
				if ev.Event == "respawned" {
					t.Error("the master has replaced a worker that it knew")
				}
			}
		})
	}
}

// TestMasterGone: where a worker outlives its master it upgrades itself, since nobody else does.
func TestMasterGone(t *testing.T) {
	t.Parallel()
	a, worker, addrs := startWorker(t, "starter", syscall.SIGHUP)
	a.signal(a.cmd.Process.Pid, syscall.SIGKILL)
	a.AwaitExit()
	runs, blames := loads(addrs, 0)
	a.signal(worker.PID, syscall.SIGUSR2)
	next := a.expect("ready", 1)
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(next.PID), Generation: "1"})
	}
	judge(t, runs, blames)
	a.signal(next.PID, syscall.SIGTERM)
	a.expectGone()
}

func TestLeaveRefused(t *testing.T) {
	t.Parallel()
	t.Run("no master", func(t *testing.T) {
		t.Parallel()
		a := start(t, "app")
		err := a.call(a.expect("ready", 0).Addrs[0], "/leave")
		if err == nil || !strings.Contains(err.Error(), "nothing to leave") {
			t.Error(err)
		}
	})
	t.Run("a path that goes with the master", func(t *testing.T) {
		t.Parallel()
		a := prepare(t)
		placeAlone(t, "predecessor", filepath.Join(a.dir, "app"))
		a.env = []string{"PREDECESSOR=starter"}
		sock := filepath.Join(a.dir, "app.sock")
		must(t, os.WriteFile(filepath.Join(a.dir, "listen"), []byte("unix,"+sock), 0o600))
		a.start("app", "./app", "-listen", "unix,"+sock)
		a.expect("predecessor", 0)
		deploy(t, a, func(path string) { install(t, path) })
		a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
		a.expect("ready", 0)
		a.expectLeft([]string{sock})
		want := fmt.Sprintf("start_server (pid %d) removes %s when it ends", a.cmd.Process.Pid, sock)
		if err := a.call(sock, "/leave"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
		a.expectGone()
	})
}

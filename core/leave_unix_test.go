//go:build unix

package core_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/internal/load"
)

// startWorker starts a master and has it start a worker on gracex, by sig.
func startWorker(t *testing.T, protocol string, sig syscall.Signal, env ...string) (*app, event, []string) {
	t.Helper()
	a, old, addrs := startPredecessor(t, protocol, 2, env...)
	runs, blames := loads(addrs, old.PID)
	awaitBy(t, old, runs...)
	deploy(t, a, func(path string) { install(t, path) })
	a.signal(a.PID(), sig)
	worker := a.expect("ready", 0)
	a.expect("left", 0)
	judge(t, runs, blames)
	return a, worker, addrs
}

// awaitBy waits until the process has answered on each of them.
func awaitBy(t *testing.T, ev event, runs ...*load.Run) {
	t.Helper()
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
	}
}

// expectMasterEnds waits for that.
func expectMasterEnds(t *testing.T, a *app) {
	t.Helper()
	if status := a.AwaitExit(); status != 0 {
		t.Errorf("the master ended with %v", a.cmd.ProcessState)
	}
}

// expectNoneReplaced waits for the end of all, and checks that the master started no worker for one that it knew.
func expectNoneReplaced(t *testing.T, a *app) {
	t.Helper()
	a.expectGone()
	if evs := a.of("respawned"); len(evs) > 0 {
		t.Errorf("the master has replaced a worker that left, or that it knew: %v", evs)
	}
}

// leave has the worker leave its master, which ends, under load, and upgrades the process that is free then.
func leave(t *testing.T, a *app, worker event, addrs []string) {
	t.Helper()
	runs, blames := loads(addrs, 0)
	awaitBy(t, worker, runs...)
	readies := len(a.of("ready"))
	must(t, a.call(addrs[0], "/leave"))
	free := a.expect("ready", readies)
	awaitBy(t, free, runs...)
	expectMasterEnds(t, a)
	next := a.next(free)
	awaitBy(t, next, runs...)
	judge(t, runs, blames)
	a.signal(next.PID, syscall.SIGTERM)
	expectNoneReplaced(t, a)
	for n := range a.of("end") {
		a.endsWell(n)
	}
}

// TestLeave_MasterEndsAndNobodyIsCut: nobody is refused, and from then on upgrades are gracex's own.
func TestLeave_MasterEndsAndNobodyIsCut(t *testing.T) {
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
	t.Run("the real start_server", func(t *testing.T) {
		t.Parallel()
		a := installed(t)
		addr := a.startStarter()
		leave(t, a, a.expect("ready", 0), []string{addr})
	})
}

// TestLeave_MasterIsNotEndedBeforeItsWorkersHaveDrained, because it tells all of them to end. To those from earlier
// reloads that would be impatience.
func TestLeave_MasterIsNotEndedBeforeItsWorkersHaveDrained(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("what the master has started can't be told here")
	}
	a, slow, addrs := startWorker(t, "starter", syscall.SIGHUP)
	client := dialQuietly(t, addrs[0], slow.PID)
	client.begin(t)
	a.signal(a.PID(), syscall.SIGHUP)
	a.expect("ready", 1)
	a.expect("signalled", 1)
	a.expectLog("msg=draining", 1)
	must(t, a.call(addrs[0], "/leave"))
	free := a.expect("ready", 2)
	a.expectLog("msg=draining", 2)
	time.Sleep(10 * timing.IdleTick) // for longer than it takes to cut
	if strings.Contains(a.log(), "the master ends") {
		t.Error("the master is told to end while a worker drains")
	}
	client.finish(t, slow.PID)
	client.c.Close()
	expectMasterEnds(t, a)
	a.stopAll(free.PID)
}

// TestLeave_ServiceIsTheMastersUntilTheProbationIsOver: a bad new process, a reload and
// a stop are as if nothing had been begun.
func TestLeave_ServiceIsTheMastersUntilTheProbationIsOver(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(t *testing.T, a *app, worker event, addr string){
		"bad": func(t *testing.T, a *app, worker event, addr string) {
			expectError(t, a.call(addr, "/reject?why=bad"), "<nil>")
			a.expectLog("this process serves again", 1)
			a.expect("end", 0)
			expectServes(t, addr, worker.PID)
		},
		"reload": func(t *testing.T, a *app, _ event, addr string) {
			a.signal(a.PID(), syscall.SIGHUP)
			next := a.expect("ready", 2)
			a.expect("end", 1) // of the worker and of the one that was to be free
			expectServes(t, addr, next.PID)
		},
		"stop": func(*testing.T, *app, event, string) {},
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
			awaitBy(t, a.expect("ready", 1), runs...)
			how(t, a, worker, addrs[0])
			judge(t, runs, blames)
			a.signal(a.PID(), syscall.SIGTERM)
			<-done
			expectNoneReplaced(t, a)
		})
	}
}

// TestUpgrade_IsTheWorkersOwnWithoutItsMaster: where a worker outlives it, nobody else starts the new versions.
func TestUpgrade_IsTheWorkersOwnWithoutItsMaster(t *testing.T) {
	t.Parallel()
	a, worker, addrs := startWorker(t, "starter", syscall.SIGHUP)
	a.signal(a.PID(), syscall.SIGKILL)
	a.AwaitExit()
	runs, blames := loads(addrs, 0)
	next := a.next(worker)
	awaitBy(t, next, runs...)
	judge(t, runs, blames)
	a.stopAll(next.PID)
}

func TestLeave_IsRefused(t *testing.T) {
	t.Parallel()
	t.Run("without a master", func(t *testing.T) {
		t.Parallel()
		a := start(t, "app")
		expectError(t, a.call(a.expect("ready", 0).Addrs[0], "/leave"), "nothing to leave")
	})
	t.Run("for a path that goes with the master", func(t *testing.T) {
		t.Parallel()
		a := prepare(t)
		placeAlone(t, "predecessor", a.path("app"))
		a.env = []string{"PREDECESSOR=starter"}
		sock := a.path("app.sock")
		listen(t, a, "unix,"+sock)
		a.start("app", "./app", "-listen", "unix,"+sock)
		a.expect("predecessor", 0)
		deploy(t, a, func(path string) { install(t, path) })
		a.signal(a.PID(), syscall.SIGHUP)
		a.expect("ready", 0)
		a.expectLeft([]string{sock})
		expectError(t, a.call(sock, "/leave"), fmt.Sprintf("start_server (pid %d) removes %s when it ends", a.PID(), sock))
		a.stopAll(a.PID())
	})
}

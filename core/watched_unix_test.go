//go:build unix

package core_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// watched starts a program whose first process keeps its number, because this test waits for it.
func watched(t *testing.T, args ...string) (a *app, first event) {
	t.Helper()
	return watchedEnv(t, nil, args...)
}

// watchedEnv is watched with variables.
func watchedEnv(t *testing.T, env []string, args ...string) (a *app, first event) {
	t.Helper()
	needsProc(t)
	a = installed(t)
	a.env = slices.Concat([]string{core.EnvMode + "="}, env)
	a.start("app", "./app", args...)
	return a, a.expect("ready", 0)
}

// becomesSupervisor waits until nothing of the program is left in the first process.
func (a *app) becomesSupervisor() {
	a.t.Helper()
	a.supervises(a.cmd.Process.Pid)
}

// supervisesOn is in the environment of a process that was the supervisor before its execve.
var supervisesOn = regexp.MustCompile(`GRACEX_SUPERVISE=\d+:\{`)

// supervises waits until nothing of the program is left in a process.
func (a *app) supervises(pid int) {
	a.t.Helper()
	a.Await("the first process is the supervisor alone", func() bool {
		dir := "/proc/" + itoa(pid)
		env, _ := os.ReadFile(dir + "/environ")
		name, _ := os.ReadFile(dir + "/comm") // that it has its name again says that it handles signals
		return supervisesOn.Match(env) && string(name) == "app\n"
	})
}

// TestWatched_UpgradesLoseNothing and the process that was started keeps its number. A worker that is killed is
// replaced, and refuses nobody.
func TestWatched_UpgradesLoseNothing(t *testing.T) {
	t.Parallel()
	a, first := watchedEnv(t, []string{"APP_ONEND=1"}, "-pidfile", "app.pid", "-probation", "50ms")
	addr, pid := first.Addrs[0], a.cmd.Process.Pid
	run := load.Start(load.Config{Addr: addr, Clients: 8, Fresh: 8})
	ev := first
	for i := range 5 {
		sig := []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2}[i%2]
		a.signal(pid, sig)
		ev = a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
		if got := pidIn(t, a, ev.PID); got != pid || ev.Gen != i+1 {
			t.Errorf("generation %d; the pid file names %d, want %d", ev.Gen, got, pid)
		}
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
		if i == 0 {
			a.becomesSupervisor()
		}
	}
	expectLossless(t, run)
	expectAlone(a)
	if got := a.expect("deferred", 0); got.PID != pid {
		t.Errorf("what main has deferred ran in process %d", got.PID)
	}
	if strings.Contains(a.log(), "does not end") {
		t.Error("the end of main was not seen")
	}
	if got := a.expect("onend", 0); got.PID != pid {
		t.Errorf("OnEnd ran in process %d first", got.PID)
	}

	fresh := load.Start(load.Config{Addr: addr, Fresh: 4})
	awaitServed(t, fresh, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
	a.signal(ev.PID, syscall.SIGKILL)
	last := a.expect("ready", 6)
	awaitServed(t, fresh, load.Server{PID: itoa(last.PID), Generation: itoa(last.Gen)})
	res := fresh.Stop()
	t.Log(res)
	if res.Failed > 4 || res.Reasons[load.Refused] != 0 {
		t.Errorf("%d requests failed, %d connections were refused", res.Failed, res.Reasons[load.Refused])
	}
	slow := rawhttp.Dial(t, addr)
	slow.Ask("/?d=300ms")
	a.expect("handling", 0)
	a.signal(pid, syscall.SIGTERM)
	slow.Answer()
	a.exitsWell()
	if _, err := os.Stat(a.path("app.pid")); err == nil {
		t.Error("the pid file is still there")
	}
}

// TestWatched_StaysInsideWithoutMain keeps the program in the first process if main has not called Run: what comes
// after Run runs at the end of the service.
func TestWatched_StaysInsideWithoutMain(t *testing.T) {
	t.Parallel()
	a, first := watched(t, "-goroutine", "-probation", "0")
	pid := a.cmd.Process.Pid
	for i := range 2 {
		a.signal(pid, syscall.SIGHUP)
		a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
		a.expectLog("the program stays in this process", 1)
	}
	a.expectLog("worker ended", 1)
	if parent, _ := proc.Parent(a.of("ready")[2].PID); parent == pid {
		t.Error("an orphan is this process's, which waits for none")
	}
	a.signal(a.of("ready")[2].PID, syscall.SIGKILL)
	last := a.expect("ready", 3)
	expectServes(t, first.Addrs[0], last.PID)
	a.stopsWell()
	ends := a.of("end")
	if i := slices.IndexFunc(ends, func(ev event) bool { return ev.PID == pid }); i != len(ends)-1 {
		t.Errorf("the first process ended as number %d of %d", i+1, len(ends))
	}
}

// TestWatched_Stop reaches the service in each phase of its first upgrade, and what runs is answered. The process
// that was started ends last, with status 0.
func TestWatched_Stop(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		probation string
		drains    bool // the first process still has a request
		env       []string
	}{
		"on probation":               {probation: "4m"},
		"while the first one drains": {probation: "0", drains: true},
		"when it is the supervisor":  {probation: "0"},
		// The program stops itself, too, for the same signal: that is no second one.
		"on probation, by the program": {probation: "4m", env: []string{"APP_OWN=1"}},
		"in its drain, by the program": {probation: "0", drains: true, env: []string{"APP_OWN=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := watchedEnv(t, tt.env, "-probation", tt.probation)
			pid, addr := a.cmd.Process.Pid, first.Addrs[0]
			slow := rawhttp.Dial(t, addr)
			if tt.drains {
				slow.Ask("/?hold=go")
				a.expect("handling", 0)
			}
			a.signal(pid, syscall.SIGUSR2)
			second := a.expect("ready", 1)
			switch {
			case tt.probation != "0":
				a.expectLog("on probation", 1)
			case tt.drains:
				a.expectLog("msg=draining", 1)
			default:
				a.becomesSupervisor()
			}
			handled := len(a.of("handling"))
			late := rawhttp.Dial(t, addr)
			late.Ask("/?d=300ms")
			if ev := a.expect("handling", handled); ev.PID != second.PID {
				t.Errorf("process %d serves, want %d", ev.PID, second.PID)
			}
			a.signal(pid, syscall.SIGTERM)
			late.Answer()
			if tt.drains { // until the stop has come: its moment is not that of the execve
				a.expectLog("msg=draining", 2)
				a.write("go", "")
				slow.Answer()
			}
			a.exitsWell()
		})
	}
}

// TestWatched_SignalAtTheExecveIsNotLost sends one just before the execve. With cgo the runtime can't block signals in
// all threads, and one of these can still take it, in vain.
func TestWatched_SignalAtTheExecveIsNotLost(t *testing.T) {
	t.Parallel()
	a, _ := watched(t, "-probation", "0")
	pid := a.cmd.Process.Pid
	a.signal(pid, syscall.SIGUSR2)
	a.expectLog("generation ended", 1)
	a.signal(pid, syscall.SIGUSR2)
	a.becomesSupervisor()
	a.signal(pid, syscall.SIGUSR1) // which is passed on behind it
	a.expectLog("signal: reopen", 1)
	if !cgo || strings.Count(a.log(), "signal: upgrade") > 1 {
		a.expect("ready", 2)
	}
	a.stopsWell()
}

// TestWatched_HangupAtTheExecveEndsNothing, although it can be lost.
func TestWatched_HangupAtTheExecveEndsNothing(t *testing.T) {
	t.Parallel()
	a, first := watched(t, "-probation", "0")
	pid := a.cmd.Process.Pid
	a.signal(pid, syscall.SIGUSR2)
	a.expectLog("generation ended", 1)
	for range 300 {
		a.signal(pid, syscall.SIGHUP)
		time.Sleep(50 * time.Microsecond)
	}
	a.becomesSupervisor()
	n := len(a.of("ready"))
	a.signal(pid, syscall.SIGUSR2)
	a.expect("ready", n)
	expectAnswers(t, first.Addrs[0])
	a.stopsWell()
}

// TestWatched_SelfIsRefusedWhereItWouldLoseTheService and the process serves on.
func TestWatched_SelfIsRefusedWhereItWouldLoseTheService(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{core.EnvMode + "=self", "SUPERVISOR_ENABLED=1"}
	a.start("app", "./app")
	first := a.expect("ready", 0)
	expectText(t, a.upgrade(first.Addrs[0]).Error(), "supervisord takes the end of this process for the end of the service; leave GRACEX_MODE=self out")
	expectServes(t, first.Addrs[0], first.PID)
	a.stopsWell()
}

// TestWatched_KilledFirstProcessEndsTheService gracefully: nobody would know of the others.
func TestWatched_KilledFirstProcessEndsTheService(t *testing.T) {
	t.Parallel()
	for name, drains := range map[string]bool{"while it drains": true, "as the supervisor": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := watched(t, "-probation", "0")
			if drains {
				slow := rawhttp.Dial(t, first.Addrs[0])
				slow.Ask("/?d=10s")
				a.expect("handling", 0)
			}
			a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
			a.expectLog("msg=upgraded", 1)
			if !drains {
				a.becomesSupervisor()
			}
			a.signal(a.cmd.Process.Pid, syscall.SIGKILL)
			a.expectLog("the supervisor is gone", 1)
			a.expectGone()
		})
	}
}

// TestWatched_NextProcessDoesNotEndItsSupervisor, whose drain is over and whose main waits for a signal. Any other old
// process gets one.
func TestWatched_NextProcessDoesNotEndItsSupervisor(t *testing.T) {
	t.Parallel()
	needsProc(t)
	drained := func(mode string) *app {
		a, first := workingWith(t, []string{core.EnvMode + "=" + mode}, "-probation", "0", "-drain", "10ms", "-goroutine", "-linger")
		a.setMode("busy") // the two processes stay in touch
		a.next(first)
		a.expectLog("background=1", 1)
		return a
	}
	a := drained("")
	a.expectLog("background work does not return", 1)
	drained(core.ModeSelf.String()).expectLog("the main of the old process does not return; signal sent", 1)
	if strings.Contains(a.log(), "signal sent") {
		t.Error("the next process has seen its supervisor off")
	}
	a.setMode("")
	a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
	a.expect("ready", 2)
	a.stopsWell()
}

// TestWatched_MainThatDoesNotReturnIsEnded with the service, which another process was told to stop.
func TestWatched_MainThatDoesNotReturnIsEnded(t *testing.T) {
	t.Parallel()
	a, first := watched(t, "-probation", "0", "-goroutine", "-linger", "-control", "app.sock")
	second := a.next(first)
	a.expectLog("the program stays in this process", 1)
	c := control.Dial(a.path("app.sock"))
	status(t, c, func(st control.Status) bool { return st.Generations[0].PID == second.PID })
	must(t, c.StopAndWait(t.Context()))
	a.exitsWell()
}

//go:build unix

package core_test

import (
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestSupervised_OneServesWhicheverIsKilled kills one of the two workers of an upgrade, or both.
func TestSupervised_OneServesWhicheverIsKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode, probation string // of the upgrade
		victims         []int  // generations
		want            int    // the one that serves in the end
	}{
		"both on probation":                    {"", "4m", []int{0, 1}, 2},
		"both on probation, the new one first": {"", "4m", []int{1, 0}, 2},
		"the old one on probation":             {"", "4m", []int{0}, 1},
		"the old one in the upgrade":           {"wait", "4m", []int{0}, 1},
		"the new one on probation":             {"", "4m", []int{1}, 0},
		// The worker that was replaced has ended well, which is not the end of the service.
		"the new one after the upgrade": {"", "0", []int{1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, master, first := supervisedServing(t, "-probation", c.probation, "-pidfile", "app.pid")
			addr := first.Addrs[0]
			a.setMode(c.mode)
			a.signal(master, syscall.SIGUSR2)
			kind, n := "ready", 1
			if c.mode != "" {
				kind, n = "checking", 0
			}
			second := a.expect(kind, n).PID
			if c.probation == "0" {
				a.expect("end", 0)
				expectAlone(a)
			}
			for _, gen := range c.victims {
				a.signal([]int{first.PID, second}[gen], syscall.SIGKILL)
			}
			a.setMode("")
			last := a.expect("ready", c.want)
			if last.Gen != c.want || last.Addrs[0] != addr {
				t.Errorf("%+v", last)
			}
			expectAlone(a)
			if c.want == 0 {
				a.expectLog("this process serves again", 1)
			}
			for range 20 {
				expectServes(t, addr, last.PID)
			}
			if got := pidIn(t, a, second); got != master {
				t.Errorf("the pid file names %d, want %d", got, master)
			}
			a.stopsWell()
			if n := a.Log.Count("another one is started"); c.want == 0 && n != 0 {
				t.Errorf("the supervisor has started %d workers", n)
			}
		})
	}
}

// TestSupervised_CrashRefusesNobody has connections wait for the next worker when one is killed. Only what was
// inside the killed process is lost.
func TestSupervised_CrashRefusesNobody(t *testing.T) {
	t.Parallel()
	a, _, first := supervisedServing(t, "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	addr, last := first.Addrs[0], first
	run := load.Start(load.Config{Addr: addr, Clients: 0, Fresh: 8})
	for i := range 3 {
		awaitServed(t, run, load.Server{PID: itoa(last.PID), Generation: itoa(i)})
		if i > 0 { // connections are in the queue longer than a moment
			a.setMode("wait")
		}
		a.signal(last.PID, syscall.SIGKILL)
		if i > 0 {
			a.expect("checking", i-1)
			a.setMode("")
		}
		last = a.expect("ready", i+1)
		if last.Addrs[0] != addr || last.Gen != i+1 {
			t.Errorf("generation %d at %s after a crash, want %s", last.Gen, last.Addrs[0], addr)
		}
		expectAnswers(t, a.path("app.sock"))
	}
	awaitServed(t, run, load.Server{PID: itoa(last.PID), Generation: "3"})
	res := run.Stop()
	t.Log(res)
	// Each client has at most one request inside a process that is killed.
	if res.Failed > 3*8 {
		t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
	}
	if n := res.Reasons[load.Refused]; n != 0 {
		t.Errorf("%d connections were refused", n)
	}
	a.stopsWell()
	if _, err := os.Stat(a.path("app.sock")); err == nil {
		t.Error("the unix socket's path is still there")
	}
}

// TestSupervised_BrokenProgramIsTriedUntilThereIsAGoodOne has an upgrade to it fail as it does without a supervisor.
// After a crash there is one try after the other. A connection that came meanwhile is served then.
func TestSupervised_BrokenProgramIsTriedUntilThereIsAGoodOne(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t)
	must(t, os.Rename(a.path("app"), a.path("good")))
	must(t, writeProgram(a.path("app"), "#!/bin/sh\nexit 3\n"))
	a.signal(master, syscall.SIGHUP)
	a.expectLog("upgrade failed; this process serves on", 1)
	a.signal(first.PID, syscall.SIGKILL)
	a.expectLog("the worker crashed", 3)
	c := rawhttp.Dial(t, first.Addrs[0])
	must(t, os.Rename(a.path("good"), a.path("app")))
	c.Ask("/stats")
	if reply := c.Answer(); reply.StatusCode != http.StatusOK {
		t.Error(reply.Status)
	}
	c.Close()
	a.signal(master, syscall.SIGINT)
	a.exitsWell()
}

// TestSupervised_AbortedWorkerIsNoStop gives a new worker up while it starts, and it stops politely.
func TestSupervised_AbortedWorkerIsNoStop(t *testing.T) {
	t.Parallel()
	a, _, first := supervisedServing(t)
	a.setMode("wait")
	giveUp := a.beginUpgrade(first.Addrs[0])
	a.expect("checking", 0)
	giveUp()
	a.expectLog("upgrade failed; this process serves on", 1)
	a.setMode("")
	expectAlone(a)
	a.signal(first.PID, syscall.SIGKILL)
	a.expect("ready", 1)
	a.stopsWell()
}

// TestSupervised_ProgramThatNeverServesIsNotTriedAgain has its exit status as the supervisor's.
func TestSupervised_ProgramThatNeverServesIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.setMode("exit7")
	a.env = []string{core.EnvMode + "=supervised"}
	a.start("app", "./app")
	a.expectLog("it never served", 1)
	if status := a.exit(); status != 7 {
		t.Errorf("exit status %d", status)
	}
}

// TestSupervised_DrainingWorkerTakesTheServiceBack when the one after it is killed, and the supervisor starts none.
// If it can't serve again, or does not, another one is started.
func TestSupervised_DrainingWorkerTakesTheServiceBack(t *testing.T) {
	t.Parallel()
	const rolledBack = "upgrade rolled back late"
	for name, tt := range map[string]struct {
		query  string
		freeze bool // the one that drains
		log    string
		kill   bool // it has served again then, and the supervisor has its listeners again
		starts int  // workers
	}{
		"serves again":   {log: rolledBack},
		"is killed then": {log: rolledBack, kill: true, starts: 1},
		"has closed its listener": {query: "&close=1", starts: 1,
			log: "this one can't any more: the program has closed its listeners"},
		"stands still": {freeze: true, log: "a worker that drains does not serve again", starts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, master, first := supervisedServing(t, "-pidfile", "app.pid", "-drain", "4m")
			addr := first.Addrs[0]
			held, answer := dial(t, addr, "/hijack?stay=1"+tt.query) // holds up the drain
			_, err := http.ReadResponse(answer, nil)
			must(t, err)
			a.signal(master, syscall.SIGUSR2)
			second := a.expect("ready", 1)
			if line, err := answer.ReadString('\n'); line != "goodbye\n" { // it is told to leave
				t.Fatalf("%q, %v", line, err)
			}
			if tt.freeze {
				a.freeze(first.PID)
			}
			a.signal(second.PID, syscall.SIGKILL)
			a.expectLog(tt.log, 1)
			if tt.kill {
				a.signal(first.PID, syscall.SIGKILL)
			}
			serves := first.PID
			if tt.starts > 0 {
				serves = a.expect("ready", 2).PID
			}
			expectCurrent(t, addr, serves)
			a.signal(master, syscall.SIGUSR2)
			expectServes(t, addr, a.expect("ready", 2+tt.starts).PID)
			a.expectLog("another one is started", tt.starts)
			if n := a.Log.Count("another one is started"); n != tt.starts {
				t.Errorf("the supervisor has started %d workers, want %d", n, tt.starts)
			}
			held.Close()
			a.stopsWell()
		})
	}
}

// TestSupervised_WorkerStopsWhenItsSupervisorIsKilled frees the addresses for the next one.
func TestSupervised_WorkerStopsWhenItsSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	a, master, _ := supervisedServing(t)
	a.signal(master, syscall.SIGKILL)
	a.expectLog("the supervisor is gone", 1)
	a.endsWell(0)
}

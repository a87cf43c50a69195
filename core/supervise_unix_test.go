//go:build unix

package core_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// supervised starts a program under a supervisor, whose process number is a.cmd's.
func supervised(t *testing.T, env []string, args ...string) *app {
	t.Helper()
	a := installed(t)
	a.env = slices.Concat(env, []string{core.EnvMode + "=supervised"})
	a.start("app", "./app", args...)
	return a
}

// supervisedServing is supervised, and waits until the first worker is ready.
func supervisedServing(t *testing.T, args ...string) (a *app, master int, first event) {
	t.Helper()
	a = supervised(t, nil, args...)
	return a, a.cmd.Process.Pid, a.expect("ready", 0)
}

// exit waits for the end of every process and returns the exit status of the one that was started.
func (a *app) exit() int {
	a.t.Helper()
	a.expectGone()
	return a.AwaitExit()
}

// exitsWell is exit, and the status is to be 0.
func (a *app) exitsWell() {
	a.t.Helper()
	if status := a.exit(); status != 0 {
		a.t.Errorf("exit status %d", status)
	}
}

// stopsWell asks the process that was started to stop, and waits for its end.
func (a *app) stopsWell() {
	a.t.Helper()
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	a.exitsWell()
}

// TestSupervised_UpgradesLoseNothing and leave the supervisor as it was. Its process number is the service's,
// whatever the workers do.
func TestSupervised_UpgradesLoseNothing(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t, "-pidfile", "app.pid")
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 16, Fresh: 16})
	inode := regexp.MustCompile(`:\[\d+\]`)
	held := func() string { return inode.ReplaceAllString(strings.Join(descriptors(master), " "), "") }
	var before, after string
	// The worker may just be handing the listener over.
	a.Await("the supervisor holds the link to its worker and the listener", func() bool {
		before = held()
		return before == "" || strings.Count(before, "socket") == 2
	})
	for i := range 20 {
		a.signal(master, syscall.SIGHUP)
		ev := a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
		if got := pidIn(t, a, ev.PID); got != master || ev.Gen != i+1 {
			t.Errorf("generation %d; the pid file names %d, want %d", ev.Gen, got, master)
		}
		if i%2 == 0 { // for the load to cross the upgrades
			awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
		}
	}
	if res := expectLossless(t, run); len(res.Served) < 10 {
		t.Errorf("only %d generations served", len(res.Served))
	}
	expectAlone(a)
	if !a.Until(func() bool { // the last worker that was replaced may have ended just now
		after = held()
		return before == after
	}) {
		t.Errorf("the supervisor holds %s after 20 upgrades, %s before", after, before)
	}
	a.stopsWell()
	if _, err := os.Stat(a.path("app.pid")); err == nil {
		t.Error("the pid file is still there")
	}
}

// descriptors lists what a process has open, where the system tells, as "socket:[1]" or a path.
func descriptors(pid int) (targets []string) {
	dir := filepath.Join("/proc", itoa(pid), "fd")
	ents, _ := os.ReadDir(dir)
	for _, e := range ents {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // not closed meanwhile
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// expectAlone waits until the supervisor has one worker and no zombie, where the system tells.
func expectAlone(a *app) {
	a.t.Helper()
	a.Await("the supervisor has one child", func() bool {
		lists, _ := filepath.Glob(filepath.Join("/proc", itoa(a.cmd.Process.Pid), "task/*/children"))
		left := 0
		for _, list := range lists {
			b, _ := os.ReadFile(list)
			left += len(strings.Fields(string(b)))
		}
		return left == 1 || len(lists) == 0
	})
}

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

// TestSupervised_StopOfTheProgramClosesTheListeners before the last request is answered, the supervisor's too.
func TestSupervised_StopOfTheProgramClosesTheListeners(t *testing.T) {
	t.Parallel()
	a, _, first := supervisedServing(t, "-listen", "tcp,127.0.0.1:0")
	addr := first.Addrs[0]
	slow := rawhttp.Dial(t, addr)
	slow.Ask("/?d=1s")
	a.expect("handling", 0)
	must(t, a.call(addr, "/stop"))
	a.expectLog("draining", 1)
	if c, err := net.Dial("tcp", addr); err == nil {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); n > 0 || os.IsTimeout(err) {
			t.Errorf("a connection waits for nobody: %d %v", n, err)
		}
		c.Close()
	}
	slow.Answer()
	a.exitsWell()
}

// TestSupervised_SignalsReachAPlainProgram that has taken over. It speaks only the plain protocol.
func TestSupervised_SignalsReachAPlainProgram(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t, "-addr", "127.0.0.1:0")
	deployPlain(t, a)
	a.signal(master, syscall.SIGUSR2)
	a.expect("end", 0)
	expectAnswers(t, first.Addrs[0])
	a.signal(master, syscall.SIGTERM)
	a.exit()
}

func init() { programs["supervision"] = playSupervision }

// playSupervision is a program that calls Supervise.
func playSupervision() {
	core.Supervise()
	emit(event{Event: "decided", Env: core.Status().Mode.String(), Args: os.Args[1:]})
	err := core.Run(func(u *core.Upgrader) error {
		_, err := u.Listen(context.Background(), "tcp", "127.0.0.1:0")
		go func() {
			if u.Ready() == nil {
				emit(event{Event: "ready", Gen: core.Generation()})
			}
		}()
		return err
	})
	if err != nil {
		emit(event{Event: "error", Err: err.Error()})
		os.Exit(1)
	}
}

// TestSupervise_DecidesByTheEnvironment whether the process becomes the supervisor, with the same number and
// arguments. The error names a variable that nobody would set by hand.
func TestSupervise_DecidesByTheEnvironment(t *testing.T) {
	t.Parallel()
	const mode, link = core.EnvMode + "=", wire.EnvLink + "="
	for name, c := range map[string]struct {
		env  string // variables with a space between them
		mode core.Mode
		err  string
	}{
		"nothing":    {mode, core.ModeSupervised, ""},
		"auto":       {mode + "auto", core.ModeSupervised, ""},
		"self":       {mode + "self", core.ModeSelf, ""},
		"supervised": {mode + "supervised", core.ModeSupervised, ""},
		// A program that knows nothing of it passes it on.
		"link of another process": {mode + "self " + link + "1:9:4711", core.ModeSelf, ""},

		"unknown mode":             {mode + "supervise", 0, `GRACEX_MODE="supervise" is not one of`},
		"empty link":               {mode + "self " + link, 0, `GRACEX_LINK="" is not`},
		"link on stderr":           {mode + "self " + link + "1:2:3", 0, `GRACEX_LINK="1:2:3" is not`},
		"link below 0":             {mode + "self " + link + "1:-7:4711", 0, `GRACEX_LINK="1:-7:4711" is not`},
		"link beyond descriptors":  {mode + "self " + link + "1:70000:4711", 0, `GRACEX_LINK="1:70000:4711" is not`},
		"link with too many words": {mode + "self " + link + "1:3:4711:more", 0, `GRACEX_LINK="1:3:4711:more" is not`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env = strings.Fields(c.env)
			a.start("supervision", "./app", "one", "-two")
			if c.err != "" {
				expectText(t, a.expect("error", 0).Err, c.err)
				return
			}
			ready, decided := a.expect("ready", 0), a.expect("decided", 0)
			if decided.Env != c.mode.String() || !slices.Equal(decided.Args, []string{"one", "-two"}) {
				t.Errorf("%+v, want %v", decided, c.mode)
			}
			if other := ready.PID != a.cmd.Process.Pid; other != (c.mode == core.ModeSupervised) {
				t.Errorf("process %d serves, process %d was started", ready.PID, a.cmd.Process.Pid)
			}
			a.stopsWell()
		})
	}
}

func init() { programs["tool"] = playTool }

// playTool is a program without an Upgrader: a subcommand of a service, say. It ends by a signal, or as its argument
// says.
func playTool() {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP, syscall.SIGTERM)
	emit(event{Event: "runs"})
	if os.Args[1] == "ends" {
		return
	}
	emit(event{Event: "signal", Err: (<-hup).String()})
}

// TestSupervise_ProgramWithoutAnUpgraderIsLeftAlone gets its signals as they are, ends as it likes, and with its
// supervisor.
func TestSupervise_ProgramWithoutAnUpgraderIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		does string
		sig  syscall.Signal
		want string
	}{
		"ends well":            {does: "ends"},
		"hears SIGHUP":         {"waits", syscall.SIGHUP, "hangup"},
		"loses its supervisor": {"waits", syscall.SIGKILL, "terminated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env = []string{core.EnvMode + "=supervised"}
			a.start("tool", "./app", tt.does)
			a.expect("runs", 0)
			if tt.sig != 0 {
				a.signal(a.cmd.Process.Pid, tt.sig)
				if got := a.expect("signal", 0).Err; got != tt.want {
					t.Errorf("it got %s, want %s", got, tt.want)
				}
			}
			if status := a.exit(); status != 0 && tt.sig != syscall.SIGKILL {
				t.Errorf("exit status %d", status)
			}
			if s := a.log(); strings.Contains(s, "ERROR") {
				t.Errorf("the log has an error: %s", s)
			}
		})
	}
}

// TestSupervised_StopInAnUpgradeIsNoCrash ends both workers while the new one starts.
func TestSupervised_StopInAnUpgradeIsNoCrash(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t)
	slow := rawhttp.Dial(t, first.Addrs[0])
	slow.Ask("/?d=2s") // the stop takes longer than noticing the end of the new one
	a.expect("handling", 0)
	a.setMode("wait")
	a.signal(master, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(master, syscall.SIGTERM)
	slow.Answer()
	a.exitsWell()
	if s := a.log(); strings.Contains(s, "given up\"") || strings.Contains(s, "crashed") {
		t.Error("the stop was taken for a crash")
	}
}

// TestSupervised_SignalThatCrossesAHandoverUpgrades has a supervisor that does not know yet that the worker which it
// passes the signal on to drains.
func TestSupervised_SignalThatCrossesAHandoverUpgrades(t *testing.T) {
	t.Parallel()
	a, master, ev := supervisedServing(t)
	for i := range 4 {
		client := dialQuietly(t, ev.Addrs[0], ev.PID)
		client.begin(t) // keeps the worker there
		expectStats(t, ev.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
		a.freeze(master)
		a.signal(ev.PID, syscall.SIGHUP)
		a.expect("ready", 2*i+1)
		a.signal(master, syscall.SIGUSR2)
		a.signal(master, syscall.SIGCONT)
		next := a.expect("ready", 2*i+2)
		client.finish(t, ev.PID)
		ev = next
	}
	a.stopsWell()
}

// TestSupervised_StopThatCrossesAHandoverEndsBoth has a supervisor that does not know yet that the worker which it
// asks to stop has handed over on probation. To that one alone a stop would be the end of the probation.
func TestSupervised_StopThatCrossesAHandoverEndsBoth(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t, "-probation", "4m")
	a.freeze(master)
	a.signal(first.PID, syscall.SIGHUP)
	a.expect("ready", 1)
	a.signal(master, syscall.SIGTERM)
	a.signal(master, syscall.SIGCONT)
	a.exitsWell()
}

// TestSupervised_SignalsInAHurryReachTheCurrentWorker, whichever that is.
func TestSupervised_SignalsInAHurryReachTheCurrentWorker(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		a, master, first := supervisedServing(t)
		for n := range 10 {
			a.signal(master, syscall.SIGHUP)
			if n%2 == 0 {
				a.expect("ready", n/2+1)
			}
		}
		expectAnswers(t, first.Addrs[0])
		if i%2 == 0 {
			a.signal(master, syscall.SIGHUP)
		}
		a.stopsWell()
	}
}

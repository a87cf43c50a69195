//go:build unix

package core_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/load"
)

// supervised starts a program under a supervisor, whose process number is a.cmd's.
func supervised(t *testing.T, env []string, args ...string) *app {
	t.Helper()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.env = slices.Concat(env, []string{core.EnvMode + "=supervised"})
	a.start("app", "./app", args...)
	return a
}

// exit waits for the end of the supervisor and returns its exit status.
func (a *app) exit() int {
	a.t.Helper()
	a.expectGone()
	return a.AwaitExit()
}

// TestSupervisedUpgrades: the supervisor's process number is the service's, whatever the
// workers do, and clients that never retry see nothing of 20 upgrades.
func TestSupervisedUpgrades(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-pidfile", "app.pid")
	master := a.cmd.Process.Pid
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 16, Fresh: 16})
	before := descriptors(master)
	// The link to the worker, and the listener, which that may just be handing over.
	for end := time.Now().Add(patience); before != nil && sockets(before) != 2 && time.Now().Before(end); before = descriptors(master) {
		time.Sleep(time.Millisecond)
	}
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
	res := run.Stop()
	t.Log(res)
	if res.Failed != 0 || len(res.Served) < 10 {
		t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
	}
	expectAlone(a, master)
	after := descriptors(master)
	for end := time.Now().Add(patience); !slices.Equal(before, after) && time.Now().Before(end); after = descriptors(master) {
		time.Sleep(time.Millisecond) // the last worker that was replaced may have ended just now
	}
	if !slices.Equal(before, after) {
		t.Errorf("the supervisor holds %q after 20 upgrades, %q before", after, before)
	}
	a.signal(master, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "app.pid")); err == nil {
		t.Error("the pid file is still there")
	}
}

func sockets(kinds []string) (n int) {
	for _, k := range kinds {
		if k == "socket" {
			n++
		}
	}
	return n
}

// descriptors lists the kinds of descriptors that a process has, where the system tells.
func descriptors(pid int) (kinds []string) {
	dir := filepath.Join("/proc", itoa(pid), "fd")
	ents, _ := os.ReadDir(dir)
	for _, e := range ents {
		kind, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		kind, _, _ = strings.Cut(kind, ":[")
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// expectAlone waits until one worker is left and no zombie, where the system tells.
func expectAlone(a *app, supervisor int) {
	a.t.Helper()
	left := 1
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		lists, _ := filepath.Glob(filepath.Join("/proc", itoa(supervisor), "task/*/children"))
		if len(lists) == 0 {
			return
		}
		left = 0
		for _, list := range lists {
			b, _ := os.ReadFile(list)
			left += len(strings.Fields(string(b)))
		}
		if left == 1 {
			return
		}
	}
	a.t.Errorf("the supervisor has %d children, want 1", left)
}

// TestSupervisedDoubleCrash: whichever of the two workers of an upgrade is killed, and both
// of them, somebody serves afterwards, and one process only.
func TestSupervisedDoubleCrash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		starts  bool  // the new one is not ready yet
		victims []int // generations
		want    int   // the one that serves in the end
	}{
		{"both on probation", false, []int{0, 1}, 2},
		{"both on probation, the new one first", false, []int{1, 0}, 2},
		{"the old one on probation", false, []int{0}, 1},
		{"the old one in the upgrade", true, []int{0}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := supervised(t, nil, "-probation", "4m")
			first := a.expect("ready", 0)
			pids := map[int]int{0: first.PID}
			if c.starts {
				a.setMode("wait")
			}
			a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
			if c.starts {
				pids[1] = a.expect("checking", 0).PID
			} else {
				pids[1] = a.expect("ready", 1).PID
			}
			for _, gen := range c.victims {
				a.signal(pids[gen], syscall.SIGKILL)
			}
			if c.starts {
				must(t, os.Remove(filepath.Join(a.dir, "mode")))
			}
			last := a.expect("ready", c.want)
			if last.Gen != c.want || last.Addrs[0] != first.Addrs[0] {
				t.Errorf("%+v", last)
			}
			expectAlone(a, a.cmd.Process.Pid)
			for range 20 {
				if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != last.PID {
					t.Fatalf("process %d serves too", st.PID)
				}
			}
			a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
			if code := a.exit(); code != 0 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestSupervisedCrash: connections wait for the next worker when one is killed, and none is
// refused; only what was inside the killed process is lost.
func TestSupervisedCrash(t *testing.T) {
	t.Parallel()
	sock := "unix,app.sock"
	a := supervised(t, nil, "-listen", "tcp,127.0.0.1:0", "-listen", sock)
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 0, Fresh: 8})
	for i := range 3 {
		ev := a.expect("ready", i)
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(i)})
		if i > 0 { // connections are in the queue longer than a moment
			a.setMode("wait")
		}
		a.signal(ev.PID, syscall.SIGKILL)
		if i > 0 {
			a.expect("checking", i-1)
			a.setMode("")
		}
		next := a.expect("ready", i+1)
		if next.Addrs[0] != addr || next.Gen != i+1 {
			t.Errorf("generation %d at %s after a crash, want %s", next.Gen, next.Addrs[0], addr)
		}
		if _, err := get(filepath.Join(a.dir, "app.sock"), "/stats"); err != nil {
			t.Errorf("the unix socket: %v", err)
		}
	}
	last := a.expect("ready", 3)
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
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "app.sock")); err == nil {
		t.Error("the unix socket's path is still there")
	}
}

// TestSupervisedCrashAfterUpgrade: the worker that was replaced has ended well, which is
// not the end of the service.
func TestSupervisedCrashAfterUpgrade(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil)
	master := a.cmd.Process.Pid
	addr := a.expect("ready", 0).Addrs[0]
	a.signal(master, syscall.SIGHUP)
	bad := a.expect("ready", 1)
	a.expect("end", 0)
	expectAlone(a, master)
	a.signal(bad.PID, syscall.SIGKILL)
	if next := a.expect("ready", 2); next.Addrs[0] != addr {
		t.Errorf("at %s after the crash, want %s", next.Addrs[0], addr)
	}
	a.signal(master, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedBrokenBinary: an upgrade to a broken program fails as it does without a
// supervisor, and a crash with a broken program on the disk is followed by one try after
// the other, until there is a good one; a connection that came meanwhile is served then.
func TestSupervisedBrokenBinary(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil)
	master, path := a.cmd.Process.Pid, filepath.Join(a.dir, "app")
	first := a.expect("ready", 0)
	must(t, os.Rename(path, path+".good"))
	must(t, writeProgram(path, "#!/bin/sh\nexit 3\n"))
	a.signal(master, syscall.SIGHUP)
	a.expectLog("upgrade failed; this process serves on", 1)
	a.signal(first.PID, syscall.SIGKILL)
	a.expectLog("the worker crashed", 3)
	c, err := net.Dial("tcp", first.Addrs[0])
	must(t, err)
	defer c.Close()
	must(t, os.Rename(path+".good", path))
	_, err = fmt.Fprint(c, "GET /stats HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
	must(t, err)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 512)
	if n, err := c.Read(b); err != nil || !strings.HasPrefix(string(b[:n]), "HTTP/1.1 200") {
		t.Errorf("%q %v", b[:n], err)
	}
	a.signal(master, syscall.SIGINT)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedAbort: a new worker that is given up while it starts stops politely, and
// that is no stop of the service.
func TestSupervisedAbort(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil)
	first := a.expect("ready", 0)
	a.setMode("wait")
	c, err := net.Dial("tcp", first.Addrs[0])
	must(t, err)
	_, err = fmt.Fprint(c, "GET /upgrade HTTP/1.1\r\nHost: app\r\n\r\n")
	must(t, err)
	a.expect("checking", 0)
	c.Close() // gives the upgrade up
	a.expectLog("upgrade failed; this process serves on", 1)
	must(t, os.Remove(filepath.Join(a.dir, "mode")))
	expectAlone(a, a.cmd.Process.Pid)
	a.signal(first.PID, syscall.SIGKILL)
	a.expect("ready", 1)
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedGivesUp: a program that never serves is not tried again, and its exit
// status is the supervisor's.
func TestSupervisedGivesUp(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.setMode("exit7")
	a.env = []string{core.EnvMode + "=supervised"}
	a.start("app", "./app")
	a.expectLog("it never served", 1)
	if code := a.exit(); code != 7 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedRollback: a worker that crashes on probation is replaced by the one before
// and not by the supervisor.
func TestSupervisedRollback(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-probation", "4m", "-pidfile", "app.pid")
	master := a.cmd.Process.Pid
	first := a.expect("ready", 0)
	a.signal(master, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.signal(second.PID, syscall.SIGKILL)
	a.expectLog("this process serves again", 1)
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != first.PID {
		t.Errorf("process %d serves", st.PID)
	}
	if got := pidIn(t, a, second.PID); got != master {
		t.Errorf("the pid file names %d, want %d", got, master)
	}
	a.signal(master, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if n := strings.Count(a.log(), "another one is started"); n != 0 {
		t.Errorf("the supervisor has started %d workers", n)
	}
}

// TestSupervisedTakeBack: a worker that is killed while the one before it drains is replaced by that one,
// and the supervisor starts none. If that one can't serve again, or does not, another one is started.
func TestSupervisedTakeBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path string
		log  string
	}{
		"serves again":            {"/hijack?stay=1", "upgrade rolled back late"},
		"is killed then":          {"/hijack?stay=1", "upgrade rolled back late"},
		"has closed its listener": {"/hijack?stay=1&close=1", "this one can't any more: the program has closed its listeners"},
		"stands still":            {"/hijack?stay=1", "a worker that drains does not serve again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := supervised(t, nil, "-pidfile", "app.pid", "-drain", "4m")
			master := a.cmd.Process.Pid
			first := a.expect("ready", 0)
			held, answer := dial(t, first.Addrs[0], tt.path) // holds up the drain
			_, err := http.ReadResponse(answer, nil)
			must(t, err)
			a.signal(master, syscall.SIGUSR2)
			second := a.expect("ready", 1)
			if line, err := answer.ReadString('\n'); line != "goodbye\n" { // it is told to leave
				t.Fatalf("%q, %v", line, err)
			}
			if name == "stands still" {
				a.freeze(first.PID)
			}
			a.signal(second.PID, syscall.SIGKILL)
			a.expectLog(tt.log, 1)
			if name == "is killed then" { // the supervisor has its listeners again
				a.signal(first.PID, syscall.SIGKILL)
			}
			serves, started := first.PID, 0
			if name != "serves again" {
				serves, started = a.expect("ready", 2).PID, 1
			}
			if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != serves || st.State != core.StateCurrent {
				t.Errorf("%+v", st)
			}
			a.signal(master, syscall.SIGUSR2)
			last := a.expect("ready", 2+started)
			if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != last.PID {
				t.Errorf("process %d serves after one upgrade more, want %d", st.PID, last.PID)
			}
			a.expectLog("another one is started", started)
			if n := strings.Count(a.log(), "another one is started"); n != started {
				t.Errorf("the supervisor has started %d workers, want %d", n, started)
			}
			held.Close()
			a.signal(master, syscall.SIGTERM)
			if code := a.exit(); code != 0 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestSupervisorKilled: a worker whose supervisor is gone stops, so that its addresses are
// free for the next one.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil)
	a.expect("ready", 0)
	a.signal(a.cmd.Process.Pid, syscall.SIGKILL)
	a.expectLog("the supervisor is gone", 1)
	if end := a.expect("end", 0); end.Err != "" {
		t.Errorf("%+v", end)
	}
}

// TestSupervisedStops: each way to ask for a stop ends everything with status 0, and the
// listeners are closed before the last request is answered.
func TestSupervisedStops(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-listen", "tcp,127.0.0.1:0")
	addr := a.expect("ready", 0).Addrs[0]
	answer := make(chan error, 1)
	go func() {
		_, err := get(addr, "/?d=1s")
		answer <- err
	}()
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
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedToPlain: a program that speaks only the plain protocol takes over, and
// signals reach it.
func TestSupervisedToPlain(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-addr", "127.0.0.1:0")
	first := a.expect("ready", 0)
	deployPlain(t, a)
	a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
	a.expect("end", 0)
	if body, err := get(first.Addrs[0], "/"); err != nil {
		t.Errorf("%q %v", body, err)
	}
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	a.exit()
}

func init() { programs["supervision"] = playSupervision }

// playSupervision is a program with WithSupervision: its main says that it has begun.
func playSupervision() {
	emit(event{Event: "main"})
	opt := core.WithSupervision()
	emit(event{Event: "decided", Env: core.CurrentMode().String(), Args: os.Args[1:]})
	err := core.Run(func(u *core.Upgrader) error {
		_, err := u.Listen(context.Background(), "tcp", "127.0.0.1:0")
		go func() {
			if u.Ready() == nil {
				emit(event{Event: "ready", Gen: core.Generation()})
			}
		}()
		return err
	}, opt)
	if err != nil {
		emit(event{Event: "error", Err: err.Error()})
		os.Exit(1)
	}
}

// TestWithSupervision: where it says so, the process becomes the supervisor, with the same
// number and arguments; elsewhere nothing happens.
func TestWithSupervision(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		want core.Mode
	}{
		{nil, core.ModeSelf},
		{[]string{"SUPERVISOR_ENABLED=1"}, core.ModeSupervised},
		{[]string{"SUPERVISOR_ENABLED=1", "NOTIFY_SOCKET=@gracex-test"}, core.ModeSelf},
		{[]string{"SUPERVISOR_ENABLED=1", core.EnvMode + "=self"}, core.ModeSelf},
		{[]string{"SUPERVISOR_ENABLED=1", core.EnvMode + "=auto"}, core.ModeSupervised},
		{[]string{core.EnvMode + "=supervised"}, core.ModeSupervised},
	} {
		t.Run(strings.Join(c.env, ","), func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, filepath.Join(a.dir, "app"))
			a.env = c.env
			a.start("supervision", "./app", "one", "-two")
			ready := a.expect("ready", 0)
			decided := a.expect("decided", 0)
			if decided.Env != c.want.String() || !slices.Equal(decided.Args, []string{"one", "-two"}) {
				t.Errorf("%+v, want %v", decided, c.want)
			}
			if other := ready.PID != a.cmd.Process.Pid; other != (c.want == core.ModeSupervised) {
				t.Errorf("process %d serves, process %d was started", ready.PID, a.cmd.Process.Pid)
			}
			a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
			if code := a.exit(); code != 0 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestSupervisionBadInput: what nobody would set by hand is an error that names it.
func TestSupervisionBadInput(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		core.EnvMode + "=supervise":     `GRACEX_MODE="supervise" is not one of`,
		wire.EnvLink + "=":              `GRACEX_LINK="" is not`,
		wire.EnvLink + "=1:2:3":         `GRACEX_LINK="1:2:3" is not`,
		wire.EnvLink + "=1:-7:4711":     `GRACEX_LINK="1:-7:4711" is not`,
		wire.EnvLink + "=1:70000:4711":  `GRACEX_LINK="1:70000:4711" is not`,
		wire.EnvLink + "=1:3:4711:more": `GRACEX_LINK="1:3:4711:more" is not`,
		wire.EnvLink + "=1:9:4711":      "", // passed on by a program that knows nothing of it
	} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, filepath.Join(a.dir, "app"))
			a.env = []string{env}
			a.start("supervision", "./app")
			if want == "" {
				a.signal(a.expect("ready", 0).PID, syscall.SIGTERM)
				return
			}
			if ev := a.expect("error", 0); !strings.Contains(ev.Err, want) {
				t.Error(ev.Err)
			}
		})
	}
}

// TestSupervisedStopInUpgrade: a stop that comes while a new version starts ends both, with
// status 0, and is no crash.
func TestSupervisedStopInUpgrade(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil)
	addr := a.expect("ready", 0).Addrs[0]
	answer := make(chan error, 1)
	go func() {
		_, err := get(addr, "/?d=2s") // the stop takes longer than noticing the end of the new one
		answer <- err
	}()
	a.expect("handling", 0)
	a.setMode("wait")
	a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if s := a.log(); strings.Contains(s, "given up\"") || strings.Contains(s, "crashed") {
		t.Error("the stop was taken for a crash")
	}
}

// TestSupervisedSignalCrossesHandover: the supervisor does not know yet that the worker which
// it passes a signal on to drains.
func TestSupervisedSignalCrossesHandover(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil)
	master := a.cmd.Process.Pid
	for i := range 4 {
		ev := a.expect("ready", 2*i)
		client := dialQuietly(t, ev.Addrs[0], ev.PID)
		client.begin(t) // keeps the worker there
		expectStats(t, ev.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
		a.freeze(master)
		a.signal(ev.PID, syscall.SIGHUP)
		a.expect("ready", 2*i+1)
		a.signal(master, syscall.SIGUSR2)
		a.signal(master, syscall.SIGCONT)
		a.expect("ready", 2*i+2)
		client.finish(t, ev.PID)
	}
	a.signal(master, syscall.SIGTERM)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedStopCrossesHandover: the supervisor does not know yet that the worker which it asks to
// stop has handed over on probation. To that one alone a stop would be the end of the probation.
func TestSupervisedStopCrossesHandover(t *testing.T) {
	t.Parallel()
	a := supervised(t, nil, "-probation", "4m")
	master := a.cmd.Process.Pid
	ev := a.expect("ready", 0)
	a.freeze(master)
	a.signal(ev.PID, syscall.SIGHUP)
	a.expect("ready", 1)
	a.signal(master, syscall.SIGTERM)
	a.signal(master, syscall.SIGCONT)
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSupervisedSignalsInAHurry: signals that cross an upgrade reach the process that is
// current, whichever that is.
func TestSupervisedSignalsInAHurry(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		a := supervised(t, nil)
		addr := a.expect("ready", 0).Addrs[0]
		for n := range 10 {
			a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
			if n%2 == 0 {
				a.expect("ready", n/2+1)
			}
		}
		if _, err := get(addr, "/"); err != nil {
			t.Error(err)
		}
		if i%2 == 0 {
			a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
		}
		a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
		if code := a.exit(); code != 0 {
			t.Errorf("exit status %d", code)
		}
	}
}

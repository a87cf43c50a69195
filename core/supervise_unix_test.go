//go:build unix

package core_test

import (
	"context"
	"net"
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
	"github.com/gracex-go/gracex/core/internal/proc"
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

// expectAlone waits until the supervisor has one worker and no zombie, where the system tells. A worker is its parent's
// child until that one has ended, so that a supervisor with one child can have two workers.
func expectAlone(a *app) {
	a.t.Helper()
	a.Await("the supervisor has one descendant", func() bool {
		return len(proc.Descendants(a.cmd.Process.Pid)) == 1 || !hasProc()
	})
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

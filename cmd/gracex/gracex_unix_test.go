//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestDeployed: "gracex upgrade && echo deployed" is true exactly when it is.
func TestDeployed(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]struct {
		code  int
		texts []string
	}{
		"":           {control.ExitOK, []string{"upgraded", "(v0)"}},
		"crash":      {control.ExitFailed, []string{"failed: ", "exit status 7", "| no database", "serves on"}},
		"hang":       {control.ExitTimedOut, []string{"\ntimed out: it was not ready in time", "| goroutine 1 [sleep", "cmd/gracex.playApp", "serves on"}},
		"crashlater": {control.ExitRolledBack, []string{"rolled back: ", "exit status 9", "| it is too late", "serves on"}},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			switch mode { // the others have all the time that they need
			case "hang":
				s.write("ready", "5s")
			case "crashlater":
				s.write("probation", "4m")
			}
			s.start()
			old := s.pid()
			s.write("mode", mode)
			self, _ := os.Executable()
			sh := exec.Command("/bin/sh", "-c", `"$0" upgrade --pid-file app.pid && echo deployed`, self)
			sh.Dir, sh.Env = s.dir, s.env("gracex")
			out, _ := sh.CombinedOutput()
			if code := sh.ProcessState.ExitCode(); code != want.code {
				t.Errorf("exit status %d, want %d", code, want.code)
			}
			deployed := mode == ""
			if got := strings.Contains(string(out), "deployed"); got != deployed {
				t.Errorf("deployed: %v", got)
			}
			for _, text := range want.texts {
				if !strings.Contains(string(out), text) {
					t.Errorf("nothing of %q", text)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
			if changed := s.pid() != old; changed != deployed {
				t.Errorf("process %d serves, before it was %d", s.pid(), old)
			}
			if !deployed {
				must.Do(t, os.Remove(filepath.Join(s.dir, "mode")))
				if mode == "crashlater" { // the probation outlasts the test
					s.expect(control.ExitOK, []string{"runs"}, "upgrade", "--no-wait")
					s.app.Await("new pid", func() bool { return s.pid() != old })
					return
				}
				s.expect(control.ExitOK, []string{"upgraded"}, "upgrade") // the app is unharmed
			}
		})
	}
}

// TestLife: status, an upgrade with its probation and what can be done meanwhile, the drain,
// the ledger, a stop.
func TestLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "4m")
	s.start()
	first := s.pid()
	s.expect(control.ExitOK, []string{"GEN", strconv.Itoa(first), "current", "v0"}, "status")
	s.expect(control.ExitRefused, []string{"not on probation"}, "rollback")
	s.expect(control.ExitRefused, []string{"refused: ", "nothing to leave"}, "upgrade", "--leave")
	s.expect(control.ExitOK, []string{"runs"}, "upgrade", "--no-wait")
	s.app.Await("new pid", func() bool { return s.pid() != first })
	second := s.pid()
	s.expect(control.ExitOK, []string{strconv.Itoa(first), "probation", strconv.Itoa(second), "current, on probation"}, "status", "--pid", strconv.Itoa(first))
	s.expect(control.ExitRefused, []string{"refused: "}, "upgrade")
	s.expect(control.ExitOK, nil, "rollback", "--reason", "error rate")
	s.app.Await("old pid", func() bool { return s.pid() == first })
	s.app.Await("the outcome", func() bool {
		return strings.Contains(s.gracex("status").out, " ago: rolled back by the operator: error rate\n")
	})

	s.write("veto", "not on a Friday")
	s.expect(control.ExitRefused, []string{"not on a Friday"}, "upgrade")
	must.Do(t, os.Remove(filepath.Join(s.dir, "veto")))
	s.expect(control.ExitTimedOut, []string{"no outcome within", "goes on"}, "upgrade", "--timeout", "300ms")
	s.app.Await("new pid", func() bool { return s.pid() != first })

	var l struct{ PID int }
	must.Do(t, json.Unmarshal([]byte(s.gracex("ledger").out), &l))
	var st control.Status
	must.Do(t, json.Unmarshal([]byte(s.gracex("status", "--json").out), &st))
	if st.PID != s.pid() || l.PID != s.pid() || len(st.Generations) < 2 || st.LastUpgrade != nil { // it is on probation
		t.Errorf("%+v %+v, the pid file says %d", st, l, s.pid())
	}
	s.expect(control.ExitOK, []string{"stopped after"}, "stop")
	if code := s.app.AwaitEnd(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	s.expect(control.ExitNotFound, []string{"no gracex app found"}, "status")
}

// TestDrain: --drain returns when the old process is gone, and shows what it waits for.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "10ms")
	s.start()
	s.expect(control.ExitOK, []string{"upgraded", "drained"}, "upgrade", "--drain")
}

// TestUpgradeJSON: one object, with or without an outcome, and the exit status is the same.
func TestUpgradeJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "10ms")
	report := func(code int, args ...string) (r control.Report) {
		t.Helper()
		res := s.expect(code, nil, append([]string{"upgrade", "--json"}, args...)...)
		must.Do(t, json.Unmarshal([]byte(res.out), &r))
		if r.ExitStatus != code || res.err != "" || strings.Count(res.out, "\n") != 1 || (r.Reason == "") != r.OK {
			t.Errorf("%s%s", res.out, res.err)
		}
		return r
	}
	if r := report(control.ExitNotFound); r.Kind != control.KindUnknown {
		t.Errorf("%+v", r)
	}
	s.start()
	first := s.pid()
	if r := report(control.ExitOK); r.Kind != control.KindUpgraded || r.OldPID != first || r.NewPID != s.pid() || r.Took <= 0 || r.OldVersion != "v0" {
		t.Errorf("%+v", r)
	}
	s.app.Await("the outcome", func() bool { return strings.Contains(s.gracex("status").out, " ago: upgraded process ") })
	s.write("mode", "crash")
	if r := report(control.ExitFailed); r.Kind != control.KindFailed || r.Exit != "exit status 7" || strings.Join(r.Stderr, "") != "no database" {
		t.Errorf("%+v", r)
	}
	if r := report(control.ExitOK, "--no-wait"); r.Kind != control.KindStarted || r.NewPID == 0 {
		t.Errorf("%+v", r)
	}
	s.app.Await("the outcome", func() bool { return strings.Contains(s.gracex("status", "--json").out, `"last_upgrade":{"at":"`) })
	must.Do(t, os.Remove(filepath.Join(s.dir, "mode")))
	s.write("veto", "not on a Friday")
	if r := report(control.ExitRefused); r.Kind != control.KindRefused || r.NewPID != 0 {
		t.Errorf("%+v", r)
	}
}

// TestInterrupted: Ctrl-C ends the watching, and not the upgrade.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "4m")
	s.start()
	first := s.pid()
	c, _, errs := s.command("upgrade")
	must.Do(t, c.Start())
	s.app.Await("new pid", func() bool { return s.pid() != first })
	must.Do(t, c.Process.Signal(os.Interrupt))
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != control.ExitInterrupted || !strings.Contains(errs.String(), "the upgrade goes on") {
		t.Errorf("exit status %d: %s", code, errs)
	}
	second := s.pid()
	s.app.Signal(first, syscall.SIGTERM) // ends the probation
	s.app.Await("end of the probation", func() bool { return !strings.Contains(s.gracex("status").out, "probation") })
	if s.pid() != second {
		t.Errorf("process %d serves, want %d", s.pid(), second)
	}
}

// TestRun: the supervisor's number is the app's, the worker is replaced when it is killed, and
// its exit status is the command's.
func TestRun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	self, _ := os.Executable()
	// The worker plays the app.
	s.start("gracex", "run", "--min-backoff", "1ms", "--", "/bin/sh", "-c", playEnv+`=app exec "$0" "$@"`, self)
	if s.pid() != s.app.PID() {
		t.Errorf("the pid file says %d, want %d", s.pid(), s.app.PID())
	}
	worker := func() int {
		var st control.Status
		if json.Unmarshal([]byte(s.gracex("status", "--json", "--pid", strconv.Itoa(s.app.PID())).out), &st) != nil || st.Supervisor != s.app.PID() {
			return 0
		}
		return st.PID
	}
	var first, second int
	s.app.Await("worker", func() bool { first = worker(); return first != 0 })
	s.expect(control.ExitOK, []string{"upgraded"}, "upgrade")
	s.app.Await("worker after the upgrade", func() bool { second = worker(); return second != 0 && second != first })
	s.app.Signal(second, syscall.SIGKILL)
	s.app.Await("next worker", func() bool { w := worker(); return w != 0 && w != second })
	s.expect(control.ExitOK, []string{"stopped"}, "stop")
	if code := s.app.AwaitEnd(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	s.expect(5, nil, "run", "--", "/bin/sh", "-c", "exit 5")
	s.expect(control.ExitFailed, []string{"no/such/app", "put the program there"}, "run", "no/such/app")
	s.expect(control.ExitUsage, []string{"--log-format"}, "run", "--log-format", "xml", "--", "true")
	s.expect(control.ExitUsage, nil, "run")
}

// TestRunStop: a stop that waits for a request says so, and that another signal cuts it.
func TestRunStop(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	self, _ := os.Executable()
	addr := proctest.FreeAddr(t)
	s.start("gracex", "run", "--", "/bin/sh", "-c", playEnv+`=app APP_ADDR=`+addr+` exec "$0" "$@"`, self)
	go func() {
		if resp, err := http.Get("http://" + addr + "/?d=4m"); err == nil {
			resp.Body.Close()
		}
	}()
	s.app.Await("the request", func() bool {
		var st control.Status
		return json.Unmarshal([]byte(s.gracex("status", "--json").out), &st) == nil && st.Generations[0].Requests == 1
	})
	s.app.Signal(s.app.PID(), syscall.SIGINT)
	s.app.Await("what it waits for", func() bool { return strings.Contains(s.app.Log.String(), "another Ctrl-C, or SIGTERM, cuts them") })
	s.app.Signal(s.app.PID(), syscall.SIGINT)
	s.app.AwaitEnd()
}

// TestNotThere: each way in which there is no app to talk to has its message and code.
func TestNotThere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.searches = true
	s.write("stale.pid", "999999999")
	s.write("bad.pid", "what")
	s.write("file", "")
	fake := func(name string, header string) string {
		path := filepath.Join(s.dir, name)
		ln := must.Get(net.Listen("unix", path))(t)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set(control.HeaderProtocol, header)
			}
			fmt.Fprint(w, "{}")
		})}
		go func() { _ = srv.Serve(ln) }()
		t.Cleanup(func() { srv.Close() })
		return path
	}
	foreign, later := fake("foreign", ""), fake("later", "99")
	for _, c := range []struct {
		code  int
		texts []string
		args  []string
	}{
		{control.ExitNotFound, []string{"no gracex app found"}, nil},
		{control.ExitNotFound, []string{"stale.pid", "gone"}, []string{"--pid-file", "stale.pid"}},
		{control.ExitNotFound, []string{"bad.pid"}, []string{"--pid-file", "bad.pid"}},
		{control.ExitNotFound, []string{"none.pid"}, []string{"--pid-file", "none.pid"}},
		{control.ExitNotFound, []string{"999999999"}, []string{"--pid", "999999999"}},
		{control.ExitNotFound, []string{strconv.Itoa(os.Getpid()), "WithControlSocket"}, []string{"--pid", strconv.Itoa(os.Getpid())}},
		{control.ExitNotFound, []string{"none.sock"}, []string{"--socket", "none.sock"}},
		{control.ExitNotFound, []string{"file"}, []string{"--socket", "file"}},
		{control.ExitNotFound, []string{"not a gracex control socket"}, []string{"--socket", foreign}},
		{control.ExitNotFound, []string{"another version"}, []string{"--socket", later}},
		{control.ExitUsage, []string{"one of --pid, --pid-file and --socket"}, []string{"--socket", "x", "--pid", "1"}},
		{control.ExitUsage, []string{"--pid -4"}, []string{"--pid", "-4"}},
		{control.ExitUsage, []string{"--socket is empty"}, []string{"--socket="}},
		{control.ExitUsage, []string{"unknown flag"}, []string{"--frob"}},
	} {
		r := s.expect(c.code, c.texts, append([]string{"status"}, c.args...)...)
		if !strings.HasPrefix(r.err, "gracex: ") || strings.Count(r.err, "\n") != 1 {
			t.Errorf("%q: not one line: %q", c.args, r.err)
		}
	}
	s.expect(control.ExitUsage, []string{"unknown command"}, "frob")
	s.expect(control.ExitUsage, []string{"positive duration"}, "upgrade", "--timeout", "0s")
	s.expect(control.ExitUsage, []string{"--no-wait excludes"}, "upgrade", "--no-wait", "--drain")
	s.expect(control.ExitUsage, []string{"--no-wait excludes"}, "upgrade", "--no-wait", "--leave")
}

// TestTwoApps: two that run are told apart by name.
func TestTwoApps(t *testing.T) {
	t.Parallel()
	s, other := newSite(t), newSite(t)
	s.start()
	other.start()
	// The other's socket where the first one's is.
	paths, _ := filepath.Glob(filepath.Join(other.dir, "gracex", "*.sock"))
	if len(paths) != 1 {
		t.Fatalf("%q", paths)
	}
	must.Do(t, os.Link(paths[0], filepath.Join(s.dir, "gracex", "other.sock")))
	s.searches = true
	s.expect(control.ExitNotFound, []string{strconv.Itoa(s.pid()), strconv.Itoa(other.pid())}, "status")
	s.expect(control.ExitOK, []string{strconv.Itoa(s.pid())}, "status", "--pid-file", "app.pid")
}

// TestHangs: an app that is stopped is not waited for without end, and is unharmed.
func TestHangs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start()
	s.app.Freeze(s.pid())
	s.searches = true
	for _, args := range [][]string{{"--pid-file", "app.pid"}, {"--pid", strconv.Itoa(s.pid())}, {}} {
		s.expect(control.ExitTimedOut, []string{"does not answer", "socket "}, append([]string{"status"}, args...)...)
	}
	s.searches = false
	s.app.Signal(s.pid(), syscall.SIGCONT)
	s.expect(control.ExitOK, []string{"upgraded"}, "upgrade")
}

// TestAnotherUser: the socket is its user's.
func TestAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can run the command as somebody else")
	}
	s := newSite(t)
	s.start()
	paths, _ := filepath.Glob(filepath.Join(s.dir, "gracex", "*.sock"))
	must.Do(t, os.Chmod(s.dir, 0o755))
	self := must.Get(os.Executable())(t)
	// A copy could not be executed if another test forks while it is written (golang/go#22315).
	must.Do(t, os.Link(self, filepath.Join(s.dir, "gracex-command")))
	c, _, errs := s.command("status", "--socket", paths[0])
	c.Path = filepath.Join(s.dir, "gracex-command")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	_ = c.Run()
	if code := c.ProcessState.ExitCode(); code != control.ExitRefused || !strings.Contains(errs.String(), "permission denied") {
		t.Errorf("exit status %d: %s", code, errs)
	}
}

// TestClosedPipe: nobody reads the rest, and that is no failure.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start()
	self, _ := os.Executable()
	sh := exec.Command("/bin/sh", "-c", `"$0" status --watch --pid-file app.pid | head -n 1`, self)
	sh.Dir, sh.Env = s.dir, s.env("gracex")
	if out, err := sh.CombinedOutput(); err != nil || strings.Contains(string(out), "gracex:") {
		t.Errorf("%v: %s", err, out)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/supervise"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
)

// TestDeploy: what becomes of a deploy is said, and is the exit status. A version that is bad is never what starts next,
// and is not tried again, with or without a supervisor.
func TestDeploy(t *testing.T) {
	t.Parallel()
	for name, supervised := range map[string]bool{"alone": false, "under gracex run": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			if supervised {
				s.supervise(s.path("srv/current/shop"))
			} else {
				s.launch(s.path("srv/current/shop"))
			}
			keeps := s.pid()
			s.expectRuns("1", "1.0.0")
			s.expect(control.ExitOK, []string{"verified", "probation", "current    1.1.0-", "kept       1.0.0-", "gracex back returns to 1.0.0-", "upgraded"},
				"deploy", s.build("good", 2), "--version", "1.1.0")
			s.expectRuns("2", "1.1.0")
			s.expect(control.ExitOK, []string{"runs it already"}, "deploy", s.build("good", 2), "--version", "1.1.0")
			for i, c := range []struct {
				behaviour string
				code      int
				texts     []string
			}{
				{"exit", control.ExitFailed, []string{"failed: ", "exit status 1", "| this version is bad: it ends at once"}},
				{"panic", control.ExitRolledBack, []string{"rolled back: ", "| panic: this version is bad"}},
			} {
				version := fmt.Sprintf("1.2.%d", i)
				bad := s.build(c.behaviour, 10+i)
				s.expect(c.code, append(c.texts, "is not tried again", "serves on, and the next start gets 1.1.0-"), "deploy", bad, "--version", version)
				s.expectRuns("2", "1.1.0")
				before := s.picture()
				s.expect(exitNotAccepted, []string{"was taken back at", "--again tries it anew"}, "deploy", bad, "--version", version)
				s.expect(exitNotAccepted, []string{"was taken back at"}, "deploy", bad, "--version", "2.0.0")
				if after := s.picture(); after != before {
					t.Errorf("what is refused has changed something: %s\nbefore it was %s", after, before)
				}
			}
			s.expect(control.ExitFailed, []string{"failed: "}, "deploy", s.build("exit", 10), "--version", "1.2.0", "--again")
			s.expect(control.ExitOK, []string{"current    1.0.0-", "upgraded"}, "back")
			s.expectRuns("1", "1.0.0")
			s.expect(exitNotAccepted, []string{"there is no good release before 1.0.0-"}, "back")
			s.expect(control.ExitOK, []string{"current    1.1.0-"}, "deploy", s.build("good", 2), "--version", "1.1.0")
			s.expect(control.ExitOK, []string{"nothing was cut short; the next start gets 1.1.0-"}, "recover")
			if changed := s.pid() != keeps; changed == supervised {
				t.Errorf("the pid file says %d, and at first %d", s.pid(), keeps)
			}
			s.expect(control.ExitOK, []string{"WHEN", "install", "failed: it ended before it was ready", "rolled_back: ", "not accepted: 1.2.0-", "back"}, "history")
			if supervised { // what starts after a crash is the good one
				var st control.Status
				must.Do(t, json.Unmarshal([]byte(s.gracex("status", "--json").out), &st))
				s.app.Signal(st.PID, syscall.SIGKILL)
				s.app.Await("the next worker", func() bool { return s.serves() != "" })
				s.expectRuns("2", "1.1.0")
			}
		})
	}
}

// TestDeploy_Late: a database may have been away once, so it is bad the second time.
func TestDeploy_Late(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.launch(s.path("srv/current/shop"), "-ready", "500ms")
	late := s.build("late", 2)
	s.expect(control.ExitTimedOut, []string{"timed out: ", "serves on, and the next start gets 1.0.0-"}, "deploy", late, "--version", "1.1.0")
	s.expect(control.ExitTimedOut, []string{"is not tried again"}, "deploy", late, "--version", "1.1.0")
	s.expect(exitNotAccepted, []string{"was taken back"}, "deploy", late, "--version", "1.1.0")
	s.expectRuns("1", "1.0.0")
}

// TestDeploy_Refused: each thing that is not accepted, or can't be tried, has its status, and a message with the remedy.
// Nothing is started, and nothing is changed.
func TestDeploy_Refused(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.launch(s.path("srv/current/shop"), "-veto", s.path("veto"))
	ours, theirs := s.publisher("ours"), s.publisher("theirs")
	ours.publish("1.1.0", "good", 2)
	dir := http.Dir(ours.dir)
	var cut, flipped bool
	files := http.FileServer(dir)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/busy/"):
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusServiceUnavailable)
		case strings.HasPrefix(path, "/page/"):
			fmt.Fprint(w, "<html>please log in</html>")
		case strings.HasPrefix(path, "/cut/") && strings.Contains(path, "shop_"):
			cut = true
			w.Header().Set("Content-Length", "99999999")
			_, _ = w.Write(make([]byte, 4096))
		case strings.HasPrefix(path, "/flip/") && strings.Contains(path, "shop_"):
			flipped = true
			b := must.Get(os.ReadFile(filepath.Join(ours.dir, filepath.Base(path))))(t)
			b[len(b)/2] ^= 1
			_, _ = w.Write(b)
		default:
			r.URL.Path = "/" + filepath.Base(path)
			files.ServeHTTP(w, r)
		}
	}))
	defer origin.Close()
	url := func(path string) string { return origin.URL + "/" + path }
	expect := func(code int, texts []string, args ...string) {
		t.Helper()
		before := s.picture()
		r := s.expect(code, texts, append([]string{"deploy"}, args...)...)
		if lines := strings.Split(strings.TrimSpace(r.err), "\n"); !strings.HasPrefix(r.err, "gracex: ") || len(lines) > 1 || strings.Contains(r.err, "release: ") {
			t.Errorf("not one line: %q", r.err)
		}
		if after := s.picture(); after != before {
			t.Errorf("%q has changed something: %s\nbefore it was %s", args, after, before)
		}
	}

	// What nobody has asked for in this way.
	expect(control.ExitUsage, []string{"give --key"}, url("stable"))
	expect(control.ExitUsage, []string{"no such file"}, url("stable"), "--key", "none.pub")
	expect(control.ExitUsage, []string{"--unsigned is for a source on this machine"}, "https://dl.example.org/shop", "--unsigned")
	expect(control.ExitUsage, []string{"no such file", "a source is a file, a directory"}, s.path("none"))
	expect(control.ExitUsage, []string{"a source is a file"}, "ftp://dl.example.org/shop", "--key", ours.key)
	expect(control.ExitUsage, []string{"--version is for a file"}, url("stable"), "--key", ours.key, "--version", "1.0.0")
	expect(control.ExitUsage, []string{"give one of --adopt"}, s.path("none"), "--adopt", "--install")
	expect(control.ExitUsage, []string{"positive"}, s.path("none"), "--timeout", "-1s")
	expect(control.ExitUsage, []string{"--keep 0 leaves no way back"}, s.path("none"), "--keep", "0")
	expect(control.ExitUsage, []string{"is started from " + s.path("srv")}, s.build("good", 2), "--dir", s.path("builds"), "--pid-file", "app.pid")

	// The source.
	expect(exitNotTried, []string{"could not be tried", "connection refused"}, "http://127.0.0.1:1/shop", "--key", ours.key)
	expect(exitNotTried, []string{"503", "it wants to be asked again in 30s"}, url("busy"), "--key", ours.key)
	expect(exitNotTried, []string{"a page for a person came", "release.json"}, url("page"), "--key", ours.key)
	expect(exitNotTried, []string{"could not be tried: shop_", "4096 of ", "no more came"}, url("cut"), "--key", ours.key)
	expect(exitNotAccepted, []string{"SHA-256"}, url("flip"), "--key", ours.key)
	if !cut || !flipped {
		t.Error("the program was not asked for")
	}

	// The manifest.
	expect(exitNotAccepted, []string{"not accepted", "key"}, url("stable"), "--key", theirs.key)
	expect(exitNotAccepted, []string{"shop", "till"}, url("stable"), "--key", ours.key, "--name", "till")
	expect(exitNotAccepted, []string{"not accepted"}, "/bin/ls")
	expect(exitNotAccepted, []string{"not accepted"}, must.Get(filepath.EvalSymlinks("/etc/os-release"))(t))

	// A check of its own.
	expect(exitNotAccepted, []string{"the check /bin/sh: exit status 3", "it wrote: no such table"}, s.build("good", 2), "--check", s.script("echo no such table; exit 3"))
	expect(exitNotAccepted, []string{"config of", "exit status 3"}, s.build("badconf", 3), "--check", "{} -check-config")

	// The app.
	expect(exitNotTried, []string{"--install is for an app that does not run", "leave it out"}, s.build("good", 2), "--install")
	expect(control.ExitNotFound, []string{"none.pid"}, s.build("good", 2), "--pid-file", s.path("none.pid"))

	// The store.
	must.Do(t, os.Chmod(s.path("srv"), 0o777))
	expect(exitNotTried, []string{"can be written by others", "chmod go-w " + s.path("srv")}, s.build("good", 2))
	must.Do(t, os.Chmod(s.path("srv"), 0o755))
	state := must.Get(os.ReadFile(s.path("srv/state.json")))(t)
	must.Do(t, os.WriteFile(s.path("srv/state.json"), state[:len(state)/2], 0o644))
	expect(exitNotTried, []string{"state.json is broken", "nothing was changed", "gracex recover --repair"}, s.build("good", 2))
	s.expect(control.ExitOK, []string{"the next start gets 1.0.0-"}, "recover", "--repair")
	held := must.Get(release.Open(s.path("srv"), "shop"))(t)
	expect(control.ExitRefused, []string{"another deploy runs: ", fmt.Sprintf("pid %d, since ", os.Getpid())}, s.build("good", 2))
	must.Do(t, held.Close())

	// The releases that were before.
	s.expect(control.ExitOK, []string{"offered    shop 1.1.0 (serial 1), signed by ", "fetching", "current    1.1.0-"}, "deploy", url("stable"), "--key", ours.key)
	s.expectRuns("2", "1.1.0")
	other := s.publisher("ours2") // of another history, with the same key
	for _, f := range []string{"release.key", "release.pub"} {
		must.Do(t, os.Rename(s.path("ours/"+f), s.path("ours2/"+f)))
	}
	other.publish("1.1.0", "good", 4, "--serial", "2")
	expect(exitNotAccepted, []string{"1.1.0 was ", "a version never gets another content"}, other.dir, "--key", other.key)
	other.publish("1.3.0", "good", 5, "--serial", "3")
	s.expect(control.ExitOK, []string{"current    1.3.0-"}, "deploy", other.dir, "--key", other.key)
	expect(exitNotAccepted, []string{"serial 1 is older than 3", "--older accepts it"}, url("stable"), "--key", other.key)
	s.expect(control.ExitOK, []string{"current    1.1.0-"}, "deploy", url("stable"), "--key", other.key, "--older")

	// An upgrade that the app does not want: no verdict.
	must.Do(t, os.WriteFile(s.path("veto"), []byte("not on a Friday"), 0o644))
	before, serves := s.picture(), s.pid()
	s.expect(control.ExitRefused, []string{"not on a Friday", "serves on"}, "deploy", s.build("good", 6), "--version", "1.4.0")
	must.Do(t, os.Remove(s.path("veto")))
	if strings.Contains(before, "1.4.0") || s.pid() != serves {
		t.Errorf("process %d serves, before it was %d", s.pid(), serves)
	}
	s.expectRuns("2", "1.1.0")
	s.expect(control.ExitOK, []string{"current    1.4.0-"}, "deploy", s.build("good", 6), "--version", "1.4.0")
}

// script is a command without spaces in it that runs a line of shell.
func (s *store) script(line string) string {
	s.t.Helper()
	path := s.path("check")
	must.Do(s.t, proctest.WriteProgram(path, line+"\n"))
	return "/bin/sh " + path
}

// TestDeploy_Interrupted: Ctrl-C ends the watching. The upgrade goes on, and the next start gets what it got until
// somebody has looked.
func TestDeploy_Interrupted(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.launch(s.path("srv/current/shop"), "-probation", "4m")
	begin := func(args ...string) (end func(sig os.Signal, code int, texts ...string)) {
		t.Helper()
		old := s.pid()
		c, out, errs := s.command(append([]string{"deploy"}, args...)...)
		c.Stdout = nil
		pipe := must.Get(c.StdoutPipe())(t)
		must.Do(t, c.Start())
		rest := awaitLine(t, pipe, "probation")
		return func(sig os.Signal, code int, texts ...string) {
			t.Helper()
			if sig != nil {
				must.Do(t, c.Process.Signal(sig))
				out.Write(<-rest)
				_ = c.Wait()
			}
			s.app.Signal(old, syscall.SIGTERM) // ends the probation
			if sig == nil {
				out.Write(<-rest)
				_ = c.Wait()
			}
			for _, text := range texts {
				if got := c.ProcessState.ExitCode(); got != code || !strings.Contains(out.String()+errs.String(), text) {
					t.Errorf("exit status %d, want %d, and %q: %s%s", got, code, text, out, errs)
				}
			}
		}
	}
	end := begin(s.build("good", 2), "--version", "1.1.0")
	s.expect(control.ExitRefused, []string{"another deploy runs: ", "deploy, pid "}, "deploy", s.build("good", 3), "--version", "1.2.0")
	end(os.Interrupt, control.ExitInterrupted, "interrupted; the upgrade to 1.1.0-", "goes on in the app, and the next start gets 1.0.0-", "gracex recover")
	s.expectRuns("2", "1.0.0")
	s.expect(control.ExitOK, []string{"recovered", "it has passed its probation", "the next start gets 1.1.0-"}, "recover") // and waits for that
	s.expectRuns("2", "1.1.0")

	begin(s.build("good", 3), "--version", "1.2.0")(syscall.SIGKILL, -1, "")
	s.expectRuns("3", "1.1.0")
	r := begin(s.build("good", 4), "--version", "1.3.0")
	r(nil, exitNotTried, "was asked to stop during the probation of 1.3.0-", "1.2.0-") // so nobody knows whether it is good
	s.expect(control.ExitOK, []string{"it has passed its probation", "the next start gets 1.3.0-"}, "recover")
	s.expectRuns("4", "1.3.0")

	asked := make(chan struct{}, 9)
	stalls := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer stalls.Close()
	s.expect(control.ExitTimedOut, []string{"it is not over within 2s; nothing was started"}, "deploy", stalls.URL, "--unsigned", "--timeout", "2s")
	select {
	case <-asked:
	default:
		t.Error("the source was not asked")
	}
}

// TestDeploy_Adopt: an app that runs from a plain file gets releases while it runs, and nothing has to know.
func TestDeploy_Adopt(t *testing.T) {
	t.Parallel()
	s := &store{newSite(t), proctest.FreeAddr(t)}
	build(t, s.path("srv/shop"), "good", 1)
	s.supervise(s.path("srv/shop"))
	before := s.picture()
	s.expect(exitNotTried, []string{"plain file " + s.path("srv/shop"), "--adopt"}, "deploy", s.build("good", 2))
	s.expect(exitNotTried, []string{"--adopt"}, "back")
	if after := s.picture(); after != before {
		t.Errorf("%s\nbefore it was %s", after, before)
	}
	s.expect(control.ExitOK, []string{"a plain file was adopted", "upgraded", "current    1.1.0-"}, "deploy", s.build("good", 2), "--version", "1.1.0", "--adopt")
	s.expectRuns("2", "1.1.0")
	s.expect(control.ExitOK, []string{"runs it already"}, "deploy", s.build("good", 2), "--version", "1.1.0", "--adopt")
	s.expect(control.ExitRolledBack, nil, "deploy", s.build("panic", 3), "--version", "1.2.0")
	var st control.Status
	must.Do(t, json.Unmarshal([]byte(s.gracex("status", "--json").out), &st))
	s.app.Signal(st.PID, syscall.SIGKILL)
	s.app.Await("the next worker", func() bool { return s.serves() == "2" })
	s.expect(control.ExitOK, []string{"upgraded"}, "upgrade")
	s.expectRuns("2", "1.1.0")
	s.expect(control.ExitOK, []string{"current    "}, "back")
	if got := s.serves(); got != "1" {
		t.Errorf("build %s serves", got)
	}
}

// TestDeploy_Install: the directory is all that is known of an app that does not run.
func TestDeploy_Install(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	dir := s.path("srv")
	s.expect(control.ExitNotFound, []string{"no gracex app found", "--install"}, "deploy", s.build("good", 2), "--dir", dir)
	s.expect(control.ExitNotFound, []string{"no gracex app found", "start the app"}, "back", "--dir", dir)
	s.expect(exitNotTried, []string{"no such file or directory", "make the directory"}, "deploy", s.build("good", 2), "--dir", s.path("no/shop"), "--install")
	for _, name := range []string{"srv", "srv/shop", "srv/current/shop"} { // all of them mean this app
		s.expect(control.ExitOK, []string{"nothing was cut short; the next start gets 1.0.0-"}, "recover", "--dir", s.path(name))
	}
	other := &store{newSite(t), proctest.FreeAddr(t)} // one that runs beside it is not meant
	other.dir = s.dir
	build(t, s.path("other/shop"), "good", 9)
	other.launch(s.path("other/shop"))
	s.expect(control.ExitOK, []string{"installed without a trial"}, "deploy", s.build("good", 2), "--version", "1.1.0", "--dir", dir, "--install")
	if v := s.current(); v != "1.1.0" {
		t.Errorf("the next start gets %s", v)
	}
	s.expect(control.ExitOK, []string{"1.1.0-"}, "history", "--dir", dir)
	s.expect(control.ExitOK, []string{"held"}, "hold", "--dir", dir, "--reason", "a sale")
	s.expect(control.ExitOK, []string{"hold ended"}, "hold", "--dir", dir, "--off")
	s.expect(control.ExitOK, []string{"a sale"}, "history", "--dir", dir)
	// An app without a control socket can't be asked, and runs all the same.
	app := s.path("srv/current/shop")
	silent := proctest.Start(t, &exec.Cmd{Path: app, Args: []string{app, "-addr", s.addr}, Dir: s.dir, Env: s.env("gracex")})
	silent.Await("the app serves", func() bool { return s.serves() == "2" })
	s.expect(exitNotTried, []string{"a process runs 1.1.0-", "name the app"}, "deploy", s.build("good", 3), "--version", "1.2.0", "--dir", dir, "--install")
}

// TestDeploy_JSON: each step is an object, and so is the outcome, whose exit status is the command's.
func TestDeploy_JSON(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.launch(s.path("srv/current/shop"))
	steps := func(code int, args ...string) (kinds []string, last report) {
		t.Helper()
		r := s.expect(code, nil, append(args, "--json")...)
		if r.err != "" {
			t.Errorf("beside the objects: %s", r.err)
		}
		for line := range strings.Lines(r.out) {
			var e release.Event
			must.Do(t, json.Unmarshal([]byte(line), &e))
			kinds = append(kinds, e.Kind)
			if e.Kind == "outcome" {
				must.Do(t, json.Unmarshal([]byte(line), &last))
			}
		}
		if last.Report == nil || last.Report.ExitStatus != code || last.Report.OK != (code == 0) {
			t.Fatalf("%s", r.out)
		}
		return kinds, last
	}
	kinds, last := steps(control.ExitOK, "deploy", s.build("good", 2), "--version", "1.1.0")
	if got := strings.Join(kinds, " "); got != "verified staged trying step step step step current outcome" || !strings.HasPrefix(last.Release, "1.1.0-") || last.Report.NewPID == 0 {
		t.Errorf("%s, %+v", got, last)
	}
	kinds, last = steps(control.ExitRolledBack, "deploy", s.build("panic", 3), "--version", "1.2.0")
	if kinds[len(kinds)-2] != release.EventBad || last.Report.Kind != control.KindRolledBack || last.Release != "" {
		t.Errorf("%q %+v", kinds, last)
	}
	if _, last = steps(exitNotAccepted, "deploy", s.build("panic", 3), "--version", "1.2.0"); !strings.HasPrefix(last.Report.Reason, "not accepted: ") {
		t.Errorf("%+v", last.Report)
	}
	steps(control.ExitNotFound, "deploy", s.build("good", 4), "--pid-file", s.path("none.pid"))
	if _, last = steps(control.ExitOK, "back"); !strings.HasPrefix(last.Release, "1.0.0-") {
		t.Errorf("%+v", last)
	}
}

// TestDeploy_AnotherUser than the app's may write the releases, and may not ask the app. Root may deploy for both.
func TestDeploy_AnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can run the command as somebody else")
	}
	const deployer, service, operator = 4711, 4712, 4713
	s := newStore(t)
	must.Do(t, os.Chmod(s.dir, 0o755))
	must.Do(t, os.MkdirAll(s.path("gracex"), 0o700))
	must.Do(t, os.MkdirAll(s.path("run"), 0o755))
	must.Do(t, os.Chown(s.path("gracex"), service, service))
	must.Do(t, os.Chown(s.path("run"), service, service))
	must.Do(t, filepath.Walk(s.path("srv"), func(path string, _ os.FileInfo, err error) error {
		must.Do(t, err)
		return os.Lchown(path, deployer, deployer)
	}))
	must.Do(t, os.Chmod(s.path("gracex"), 0o755))
	program, pidFile := s.path("srv/current/shop"), s.path("run/app.pid")
	s.app = proctest.Start(t, &exec.Cmd{
		Path: must.Get(exec.LookPath("setpriv"))(t), Dir: "/", Env: s.env("gracex"),
		Args: []string{"setpriv", "--reuid", fmt.Sprint(service), "--regid", fmt.Sprint(service), "--clear-groups", program, "-addr", s.addr, "-pid-file", pidFile, "-operator", fmt.Sprint(operator)},
	})
	s.app.AwaitPID(pidFile, 0)
	// A copy could not be executed if another test forks while it is written (golang/go#22315).
	must.Do(t, os.Link(must.Get(os.Executable())(t), s.path("gracex-command")))
	as := func(user uint32, code int, texts []string) {
		t.Helper()
		c, _, errs := s.command("deploy", s.build("good", 3), "--version", "1.2.0", "--pid-file", pidFile)
		c.Path = s.path("gracex-command")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		_ = c.Run()
		for _, text := range texts {
			if got := c.ProcessState.ExitCode(); got != code || !strings.Contains(errs.String(), text) {
				t.Errorf("user %d: exit status %d, want %d, and %q: %s", user, got, code, text, errs)
			}
		}
		s.expectRuns("2", "1.1.0")
	}
	s.expect(control.ExitOK, []string{"current    1.1.0-"}, "deploy", s.build("good", 2), "--version", "1.1.0", "--pid-file", pidFile)
	s.expectRuns("2", "1.1.0")
	as(deployer, control.ExitRefused, []string{"permission denied"})
	as(operator, exitNotTried, []string{"belongs to user 4711, and this is user 4713"})
	as(service, exitNotTried, []string{"belongs to user 4711, and this is user 4712: deploy as that user, or as root"})
	must.Do(t, filepath.Walk(s.path("srv"), func(path string, fi os.FileInfo, err error) error {
		must.Do(t, err)
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != deployer && fi.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s belongs to user %d", path, st.Uid)
		}
		return nil
	}))

	// The owner of the releases, who is an operator, needs neither root nor the app's user.
	must.Do(t, filepath.Walk(s.path("srv"), func(path string, _ os.FileInfo, err error) error {
		must.Do(t, err)
		return os.Lchown(path, operator, operator)
	}))
	owner := func(build string, texts []string, args ...string) {
		t.Helper()
		c, out, errs := s.command(append(args, "--pid-file", pidFile)...)
		c.Path = s.path("gracex-command")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: operator, Gid: operator}}
		_ = c.Run()
		for _, text := range texts {
			if got := c.ProcessState.ExitCode(); got != 0 || !strings.Contains(out.String(), text) {
				t.Errorf("%q: exit status %d, and nothing of %q: %s%s", args, got, text, out, errs)
			}
		}
		if got := s.serves(); got != build {
			t.Errorf("%q: build %s serves, want %s", args, got, build)
		}
	}
	owner("5", []string{"current    1.5.0-"}, "deploy", s.build("good", 5), "--version", "1.5.0")
	owner("5", []string{"runs it already"}, "deploy", s.build("good", 5), "--version", "1.5.0")
	owner("2", []string{"current    1.1.0-"}, "back")
	owner("2", []string{"nothing was cut short; the next start gets 1.1.0-"}, "recover")
}

// TestDeploy_AnotherNamespace: the files and the numbers of a container are not those here.
func TestDeploy_AnotherNamespace(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can make a pid namespace")
	}
	s := newStore(t)
	s.app = proctest.Start(t, &exec.Cmd{
		Path: must.Get(exec.LookPath("unshare"))(t), Dir: s.dir, Env: s.env("gracex"),
		Args: []string{"unshare", "--pid", "--fork", "--kill-child", s.path("srv/current/shop"), "-addr", s.addr, "-pid-file", s.path("app.pid")},
	})
	var sockets []string
	s.app.Await("its control socket", func() bool {
		sockets, _ = filepath.Glob(s.path("gracex/*.sock"))
		return len(sockets) == 1 && s.gracex("status", "--socket", sockets[0]).code == 0
	})
	s.expect(exitNotTried, []string{"in another pid namespace, such as a container's", "deploy from inside of it"}, "deploy", s.build("good", 2), "--socket", sockets[0])
	s.expectRuns("1", "1.0.0")
}

// TestDeploy_InPlace: a plain file is replaced, and put back if the new one is bad or the app does not want it.
func TestDeploy_InPlace(t *testing.T) {
	t.Parallel()
	s := &store{newSite(t), proctest.FreeAddr(t)}
	program := build(t, s.path("srv/shop"), "good", 1)
	s.launch(program, "-veto", s.path("veto"))
	is := func(path string) {
		t.Helper()
		if !bytes.Equal(must.Get(os.ReadFile(program))(t), must.Get(os.ReadFile(path))(t)) {
			t.Errorf("%s is another file than %s", program, path)
		}
	}
	good := s.build("good", 2)
	s.expect(control.ExitOK, []string{"upgraded", "current    " + program}, "deploy", good, "--in-place")
	is(good)
	for behaviour, code := range map[string]int{"panic": control.ExitRolledBack, "exit": control.ExitFailed} {
		s.expect(code, []string{"this version is bad", "the old program is at " + program + " again, and is what the next start gets"}, "deploy", s.build(behaviour, 3), "--in-place")
		is(good)
	}
	must.Do(t, os.WriteFile(s.path("veto"), []byte("not on a Friday"), 0o644))
	s.expect(control.ExitRefused, []string{"not on a Friday"}, "deploy", s.build("good", 4), "--in-place")
	is(good)
	must.Do(t, os.Remove(s.path("veto")))
	s.expect(exitNotAccepted, []string{"no Go program"}, "deploy", "/bin/ls", "--in-place")
	s.expect(control.ExitUsage, []string{"--in-place is for a file at hand"}, "deploy", "http://127.0.0.1:1", "--unsigned", "--in-place")
	is(good)
	if got := s.serves(); got != "2" {
		t.Errorf("build %s serves", got)
	}
	entries := must.Get(os.ReadDir(s.path("srv")))(t)
	if len(entries) > 2 { // the program, and the lock
		t.Errorf("left behind: %v", entries)
	}
}

// TestCheck: a release is started up to ready, and the app serves all the time. Nothing is current by it, or bad.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.launch(s.path("srv/current/shop"))
	serves := s.pid()
	s.expect(control.ExitOK, []string{"checked process ", "it was ready in", fmt.Sprintf("process %d serves on", serves)}, "check")
	good := s.build("good", 2)
	s.expect(control.ExitOK, []string{"verified", "checked process "}, "check", good, "--version", "1.1.0")
	s.expect(control.ExitFailed, []string{"failed: ", "| this version is bad", "serves on"}, "check", s.build("exit", 3), "--version", "1.2.0")
	s.expect(exitNotAccepted, []string{"no Go program"}, "check", "/bin/ls")
	s.expect(control.ExitNotFound, []string{"none.pid"}, "check", "--pid-file", s.path("none.pid"))
	if s.pid() != serves || s.isBad("1.2.0") {
		t.Errorf("process %d serves, before it was %d", s.pid(), serves)
	}
	s.expectRuns("1", "1.0.0")
	s.expect(control.ExitOK, []string{"it was there already", "current    1.1.0-"}, "deploy", good, "--version", "1.1.0")
	s.expect(exitNotTried, []string{"is the program of a release: deploy without --in-place"}, "deploy", s.build("good", 4), "--in-place")
	s.expectRuns("2", "1.1.0")
}

// TestRun_GoesBackBehindADeploy: a release that crashes again and again soon after its probation is not what a boot
// starts, also if another deploy has the store at that moment.
func TestRun_GoesBackBehindADeploy(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.supervise(s.path("srv/current/shop"))
	s.expect(control.ExitOK, []string{"upgraded"}, "deploy", s.build("good", 2), "--version", "1.1.0")
	s.expectRuns("2", "1.1.0")
	deploys := must.Get(release.Open(s.path("srv"), "shop"))(t)
	for range supervise.SoakCrashes {
		var st control.Status
		must.Do(t, json.Unmarshal([]byte(s.gracex("status", "--json").out), &st))
		s.app.Signal(st.PID, syscall.SIGKILL)
		s.app.Await("the next worker", func() bool {
			var now control.Status
			return json.Unmarshal([]byte(s.gracex("status", "--json").out), &now) == nil && now.PID != 0 && now.PID != st.PID
		})
	}
	s.app.AwaitLog("another deploy runs", 1)
	s.expectRuns("1", "1.1.0")
	must.Do(t, deploys.Close())
	s.app.Await("current is switched back", func() bool { return s.current() == "1.0.0" })
	s.expect(exitNotAccepted, []string{"was taken back", "crashed again and again"}, "deploy", s.build("good", 2), "--version", "1.1.0")
}

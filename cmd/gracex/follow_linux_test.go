package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/release"
)

// offer returns the address of a web server with the publisher's folder.
func (p *publisher) offer() string {
	p.t.Helper()
	srv := httptest.NewServer(http.FileServer(http.Dir(p.dir)))
	p.t.Cleanup(srv.Close)
	return srv.URL
}

// buildCommand builds the command as its users have it, and returns its path. This test binary ends with its standard input whatever
// the command does.
func buildCommand(t *testing.T, s *store) string {
	t.Helper()
	path := s.path("bin/gracex")
	proctest.Build(t, path, ".")
	return path
}

// followers are the processes of the program that follow a source.
func followers(p *proctest.Program) (pids []int) {
	for _, pid := range p.Live() {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		if slices.Contains(strings.Split(string(b), "\x00"), "follow") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// isBad reports whether a build of that version is known as bad.
func (s *store) isBad(version string) bool {
	st, _, _ := release.ReadState(s.path("srv"))
	for _, b := range st.Bad {
		if strings.HasPrefix(b.Release, version+"-") {
			return true
		}
	}
	return false
}

// TestRunFollow: gracex run keeps its app at what a source offers, and its number. Its follower comes back when it is
// killed, and ends with it, however that ends.
func TestRunFollow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := s.publisher("publisher")
	p.publish("1.1.0", "good", 2)
	gracex := buildCommand(t, s)
	start := func(url string) {
		t.Helper()
		s.app = proctest.Start(t, &exec.Cmd{
			Path: gracex, Dir: s.dir, Env: s.env("none"),
			Args: []string{"gracex", "run", "--min-backoff", "1ms", "--follow", url, "--name", "shop", "--key", p.key, "--every", "300ms", "--",
				s.path("srv/current/shop"), "-addr", s.addr, "-pid-file", s.path("app.pid")},
		})
		s.app.AwaitPID(s.path("app.pid"), 0)
	}
	url := p.offer()
	start(url)
	s.app.Await("the first release", func() bool { return s.serves() == "2" && s.current() == "1.1.0" })

	p.publish("1.2.0", "panic", 3)
	s.app.Await("the bad one", func() bool { return s.isBad("1.2.0") })
	s.app.AwaitLog("taken back", 1)
	if !strings.Contains(s.app.Log.String(), `stderr="[panic: this version is bad`) {
		t.Error("the log says nothing of why")
	}
	s.expectRuns("2", "1.1.0")

	var first []int
	s.app.Await("its follower", func() bool { first = followers(s.app); return len(first) == 1 })
	s.app.Signal(first[0], syscall.SIGKILL)
	s.app.AwaitLog("the follower has ended, and is started again", 1)
	p.publish("1.3.0", "good", 4)
	s.app.Await("the next release", func() bool { return s.serves() == "4" && s.current() == "1.3.0" })
	if n := s.app.Log.Count("panic: this version is bad\n"); n != 1 {
		t.Errorf("the bad version was started %d times", n)
	}
	if s.pid() != s.app.PID() {
		t.Errorf("the pid file says %d, and gracex run is process %d", s.pid(), s.app.PID())
	}

	second := followers(s.app)
	s.app.Signal(s.app.PID(), syscall.SIGKILL)
	s.app.Await("the end of the follower", func() bool { return len(second) == 1 && len(followers(s.app)) == 0 })
	must.Do(t, s.app.End(proctest.Patience))

	start(url)
	s.app.Await("its follower", func() bool { return len(followers(s.app)) == 1 })
	s.expectRuns("4", "1.3.0")
	s.app.Signal(s.app.PID(), syscall.SIGTERM)
	if code := s.app.AwaitEnd(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestFollow: a follower that is killed in the middle of a trial leaves it to the next one.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.launch(s.path("srv/current/shop"), "-probation", "4m")
	p := s.publisher("publisher")
	p.publish("1.1.0", "good", 2)
	args := []string{p.offer(), "--name", "shop", "--key", p.key, "--every", "100ms"}
	start := func() (*exec.Cmd, func()) {
		c, _, errs := s.command(append([]string{"follow", "--json"}, args...)...)
		c.Stdout = nil
		out := must.Get(c.StdoutPipe())(t)
		must.Do(t, c.Start())
		t.Cleanup(func() {
			_ = c.Process.Kill()
			if t.Failed() {
				t.Log(errs)
			}
		})
		return c, func() { awaitText(t, out, `"step":"probation"`) }
	}
	old := s.pid()
	c, tries := start()
	tries()
	must.Do(t, c.Process.Kill())
	_ = c.Wait()
	s.expectRuns("2", "1.0.0")
	c, _ = start()
	s.app.Signal(old, syscall.SIGTERM) // ends the probation
	s.app.Await("the release", func() bool { return s.current() == "1.1.0" })
	must.Do(t, c.Process.Signal(syscall.SIGTERM))
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	s.expectRuns("2", "1.1.0")
	s.expect(control.ExitOK, []string{"recover"}, "history")

	once := append([]string{"follow", "--once"}, args...)
	s.expect(control.ExitOK, []string{"current    1.1.0-", "runs it already"}, once...)
	s.expect(control.ExitOK, nil, "hold", "--reason", "a sale")
	p.publish("1.2.0", "exit", 3)
	s.expect(exitNotTried, []string{"held since ", ": a sale", "gracex hold --off"}, once...)
	s.expect(control.ExitOK, nil, "hold", "--off")
	s.expect(control.ExitFailed, []string{"failed: ", "| this version is bad", "serves on"}, once...)
	s.expect(exitNotAccepted, []string{"was taken back"}, once...)
	p.publish("1.3.0", "good", 4, "--paused")
	s.expect(exitNotAccepted, []string{"the publisher has halted releases up to serial 3"}, once...)
	s.expect(control.ExitNotFound, []string{"no app runs"}, append([]string{"follow", "--once", "--pid-file", s.path("none.pid")}, args...)...)
	s.expect(control.ExitUsage, []string{"give --name"}, "follow", p.dir, "--key", p.key)
	s.expect(control.ExitUsage, []string{"no release.json"}, "follow", s.path("srv"), "--key", p.key, "--name", "shop")
	s.expect(control.ExitUsage, []string{"--window", "the hours have no end"}, append(once, "--window", "Mon 25:00")...)
	s.expect(control.ExitUsage, []string{"give --name"}, "run", "--follow", p.dir, "--key", p.key, "--", "true")
	s.expectRuns("2", "1.1.0")
}

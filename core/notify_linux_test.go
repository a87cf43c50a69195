package core_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
)

// manager plays the service manager: it records the datagrams that it gets.
type manager struct {
	t    *testing.T
	path string

	mu  sync.Mutex
	got []string
}

// newManager listens in the app's directory.
func newManager(t *testing.T, a *app) *manager {
	t.Helper()
	m := &manager{t: t, path: filepath.Join(a.dir, "notify")}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.got = append(m.got, string(b[:n]))
			m.mu.Unlock()
		}
	}()
	a.env = append(a.env, sdnotify.EnvSocket+"="+m.path)
	return m
}

func (m *manager) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// expect waits for the datagrams that match the expressions, each as a whole and in this
// order, with no other after the first skip. Times are as they may be.
func (m *manager) expect(skip int, want ...string) (next int) {
	m.t.Helper()
	end := time.Now().Add(patience)
	for len(m.all()) < skip+len(want) && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	got := m.all()[min(skip, len(m.all())):]
	for i, w := range want {
		if i >= len(got) || !regexp.MustCompile("^(?:"+w+")$").MatchString(got[i]) {
			m.t.Fatalf("datagram %d is not %q: %q", skip+i, w, got)
		}
	}
	return skip + len(want)
}

// serves is what a process says that is the main one.
func serves(pid int, gen int, more string) string {
	return fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=generation %d, serving%s", pid, gen, more)
}

const reloads = `RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=generation %d, upgrading`

// TestNotify: the exact datagrams of a start, an upgrade, one that fails, one that is rolled
// back, and a stop.
func TestNotify(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	m := newManager(t, a)
	a.start("app", "./app", "-probation", "300ms")
	first := a.expect("ready", 0)
	n := m.expect(0, serves(first.PID, 0, ""))

	must(t, os.WriteFile(filepath.Join(a.dir, "probation"), []byte("4m"), 0o644)) // of the next but one, which is to be bad in time
	a.signal(first.PID, syscall.SIGHUP)
	second := a.expect("ready", 1)
	n = m.expect(n, fmt.Sprintf(reloads, 0),
		fmt.Sprintf("MAINPID=%d\nREADY=1\nSTATUS=generation 1, serving; 1 older draining", second.PID),
		serves(second.PID, 1, "(; 1 older draining)?"))
	a.expectLog("the old process is gone", 1) // the count may come and go before
	n = m.alone(n)

	a.setMode("exit7")
	a.signal(second.PID, syscall.SIGHUP)
	n = m.expect(n, fmt.Sprintf(reloads, 1), serves(second.PID, 1, `; the last upgrade failed: .*exit status 7.*`))

	a.setMode("rejects")
	a.signal(second.PID, syscall.SIGHUP)
	a.expectLog("this process serves again", 1)
	n = m.expect(n, fmt.Sprintf(reloads, 1), serves(second.PID, 1, `; the last upgrade was rolled back: .*at once.*`))
	must(t, os.Remove(filepath.Join(a.dir, "mode")))

	a.signal(second.PID, syscall.SIGTERM)
	m.expect(n, `STOPPING=1\nSTATUS=stopping: 0 requests on 0 connections, 0 hijacked connections\nEXTEND_TIMEOUT_USEC=\d+`)
	a.expectGone()
	for _, s := range m.all() {
		if strings.Contains(s, "STOPPING") && !strings.Contains(s, "0 hijacked") {
			t.Errorf("%q", s)
		}
	}
	if got := len(m.all()); got != n+1 {
		t.Errorf("%d datagrams more than the stop: %q", got-n-1, m.all()[n:])
	}
}

// alone waits until the manager knows that no older process is left, which it may have
// heard already.
func (m *manager) alone(n int) int {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got := m.all(); strings.HasSuffix(got[len(got)-1], ", serving") {
			return len(got)
		}
	}
	m.t.Fatalf("an older process drains: %q", m.all()[n:])
	return 0
}

// TestNotifyStopExtends: a stop that takes long asks for time again and again, within its
// own limit.
func TestNotifyStopExtends(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	m := newManager(t, a)
	a.start("app", "./app")
	first := a.expect("ready", 0)
	n := m.expect(0, serves(first.PID, 0, ""))
	client := dialQuietly(t, first.Addrs[0], first.PID)
	client.begin(t)
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
	a.signal(first.PID, syscall.SIGTERM)
	m.expect(n, `STOPPING=1\nSTATUS=stopping: 1 request .*\nEXTEND_TIMEOUT_USEC=15000000`,
		`STATUS=stopping: 1 request .*\nEXTEND_TIMEOUT_USEC=15000000`)
	client.finish(t, first.PID)
	a.expectGone()
}

// TestNotifyWatchdog: the process that is current answers, and after an upgrade the next
// one, though the variable names the first.
func TestNotifyWatchdog(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	m := newManager(t, a)
	a.env = append(a.env, "WATCHDOG_USEC=100000")
	a.start("app", "./app")
	first := a.expect("ready", 0)
	beats := func() (n int) {
		for _, s := range m.all() {
			if s == sdnotify.Watchdog {
				n++
			}
		}
		return n
	}
	more := func() {
		t.Helper()
		want, end := beats()+3, time.Now().Add(patience)
		for beats() < want && time.Now().Before(end) {
			time.Sleep(time.Millisecond)
		}
		if beats() < want {
			t.Errorf("no watchdog datagrams: %q", m.all())
		}
	}
	more()
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.expect("end", 0)
	more()
	a.freeze(second.PID)
	a.signal(second.PID, syscall.SIGCONT)
	more()
}

// TestNotifySupervised: it is the supervisor that tells the service manager, and none of the
// workers, whose environment does not name it.
func TestNotifySupervised(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	m := newManager(t, a)
	a.env = append(a.env, core.EnvMode+"=supervised")
	a.start("app", "./app")
	first := a.expect("ready", 0)
	supervises := func(gen, pid int) string {
		return fmt.Sprintf("STATUS=supervising generation %d, process %d", gen, pid)
	}
	n := m.expect(0, "READY=1", supervises(0, first.PID))
	if out, err := get(first.Addrs[0], "/child"); err != nil || strings.Contains(out, sdnotify.EnvSocket) {
		t.Errorf("%s %v", out, err)
	}
	a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
	second := a.expect("ready", 1)
	n = m.expect(n, supervises(1, second.PID))
	a.expect("end", 0)
	a.signal(second.PID, syscall.SIGKILL)
	third := a.expect("ready", 2)
	n = m.expect(n, "STATUS=generation 1 crashed: (signal: killed|not known); the next one starts in 0s", supervises(2, third.PID))
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	m.expect(n, "STOPPING=1")
	if code := a.exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestNotifyNobody: a service manager that is not there, or a name that is none, costs
// nothing but a line in the log.
func TestNotifyNobody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ env, log string }{
		{sdnotify.EnvSocket + "=/nowhere/at/all", "the service manager can't be told"},
		{sdnotify.EnvSocket + "=none", "the service manager is not told anything"},
	} {
		a := prepare(t)
		install(t, filepath.Join(a.dir, "app"))
		a.env = []string{c.env}
		a.start("app", "./app")
		first := a.expect("ready", 0)
		a.expectLog(c.log, 1)
		a.signal(first.PID, syscall.SIGUSR2)
		a.signal(a.expect("ready", 1).PID, syscall.SIGTERM)
		a.expectGone()
	}
}

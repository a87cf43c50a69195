package core_test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/internal/proctest"
)

// manager plays the service manager: it records the datagrams that it gets.
type manager struct {
	a    *app
	mu   sync.Mutex
	got  []string
	read int // how many the test has looked at
}

// startManaged starts the app under a service manager, with more environment.
func startManaged(t *testing.T, env []string, args ...string) (*app, *manager) {
	t.Helper()
	a := installed(t)
	m := manage(t, a, env)
	a.start("app", "./app", args...)
	return a, m
}

// manage has a service manager for an app that is not started yet, with more environment.
func manage(t *testing.T, a *app, env []string) *manager {
	t.Helper()
	m := &manager{a: a}
	path := a.path("notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	t.Cleanup(func() {
		c.Close()
		if t.Failed() {
			t.Logf("the service manager got %q", m.all())
		}
	})
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
	a.env = slices.Concat(env, []string{sdnotify.EnvSocket + "=" + path})
	return m
}

func (m *manager) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// expect waits for the next datagrams, which match the expressions, each as a whole and in this order.
func (m *manager) expect(want ...string) {
	m.a.t.Helper()
	var got []string
	proctest.Await(m.a.t, fmt.Sprintf("%d datagrams", m.read+len(want)), func() bool {
		got = m.all()[m.read:]
		return len(got) >= len(want)
	})
	for i, w := range want {
		if !regexp.MustCompile("^(?:" + w + ")$").MatchString(got[i]) {
			m.a.t.Fatalf("datagram %d is not %q: %q", m.read+i, w, got)
		}
	}
	m.read += len(want)
}

// expectAlone waits until the manager knows that no older process is left, which it may have heard already.
func (m *manager) expectAlone() {
	m.a.t.Helper()
	m.a.Await("the service manager hears that no older process is left", func() bool {
		got := m.all()
		m.read = len(got)
		return strings.HasSuffix(got[len(got)-1], ", serving")
	})
}

// beats waits for three more watchdog datagrams.
func (m *manager) beats() {
	m.a.t.Helper()
	count := func() int {
		return len(slices.DeleteFunc(m.all(), func(s string) bool { return s != sdnotify.Watchdog }))
	}
	want := count() + 3
	m.a.Await("watchdog datagrams", func() bool { return count() >= want })
}

// serves is what a process says that is the main one.
func serves(ev event, more string) string {
	return fmt.Sprintf("READY=1\nMAINPID=%d\nSTATUS=generation %d, serving%s", ev.PID, ev.Gen, more)
}

const reloads = `RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=generation %d, upgrading`

func TestNotify_SaysExactlyWhatBecomesOfAnUpgrade(t *testing.T) {
	t.Parallel()
	a, m := startManaged(t, nil, "-probation", "300ms")
	first := a.expect("ready", 0)
	m.expect(serves(first, ""))

	a.write("probation", "4m") // of the next but one, which is to be bad in time
	a.signal(first.PID, syscall.SIGHUP)
	second := a.expect("ready", 1)
	m.expect(fmt.Sprintf(reloads, 0),
		fmt.Sprintf("MAINPID=%d\nREADY=1\nSTATUS=generation 1, serving; 1 older draining", second.PID),
		serves(second, "(; 1 older draining)?"))
	a.expectLog("the old process is gone", 1) // the count may come and go before
	m.expectAlone()

	a.setMode("exit7")
	a.signal(second.PID, syscall.SIGHUP)
	m.expect(fmt.Sprintf(reloads, 1), serves(second, `; the last upgrade failed: .*exit status 7.*`))

	a.setMode("rejects")
	a.signal(second.PID, syscall.SIGHUP)
	a.expectLog("this process serves again", 1)
	m.expect(fmt.Sprintf(reloads, 1), serves(second, `; the last upgrade was rolled back: .*at once.*`))
	must(t, os.Remove(a.path("mode")))

	a.signal(second.PID, syscall.SIGTERM)
	m.expect(`STOPPING=1\nSTATUS=stopping: 0 requests on 0 connections, 0 hijacked connections\nEXTEND_TIMEOUT_USEC=\d+`)
	a.expectGone()
	if more := m.all()[m.read:]; len(more) > 0 {
		t.Errorf("%q behind the stop", more)
	}
}

// TestNotify_LongStopAsksForMoreTime asks for it again and again, within the stop's own limit.
func TestNotify_LongStopAsksForMoreTime(t *testing.T) {
	t.Parallel()
	a, m := startManaged(t, nil)
	first := a.expect("ready", 0)
	m.expect(serves(first, ""))
	client := dialQuietly(t, first.Addrs[0], first.PID)
	client.begin(t)
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
	a.signal(first.PID, syscall.SIGTERM)
	m.expect(`STOPPING=1\nSTATUS=stopping: 1 request .*\nEXTEND_TIMEOUT_USEC=15000000`,
		`STATUS=stopping: 1 request .*\nEXTEND_TIMEOUT_USEC=15000000`)
	client.finish(t, first.PID)
	a.expectGone()
}

// TestNotify_WatchdogHearsTheCurrentProcess upgrades, though the variable names the first process.
func TestNotify_WatchdogHearsTheCurrentProcess(t *testing.T) {
	t.Parallel()
	a, m := startManaged(t, []string{"WATCHDOG_USEC=100000"})
	first := a.expect("ready", 0)
	m.beats()
	second := a.next(first)
	// The kernel sends SIGHUP to a group that is orphaned by this end, if a process of it stands still (_exit(2)).
	a.AwaitExit()
	m.beats()
	a.freeze(second.PID)
	a.signal(second.PID, syscall.SIGCONT)
	m.beats()
}

// TestNotify_SupervisorSpeaksAlone has workers whose environment does not name the service manager.
func TestNotify_SupervisorSpeaksAlone(t *testing.T) {
	t.Parallel()
	a, m := startManaged(t, []string{core.EnvMode + "=supervised"})
	supervises := func(ev event) string {
		return fmt.Sprintf("STATUS=supervising generation %d, process %d", ev.Gen, ev.PID)
	}
	first := a.expect("ready", 0)
	m.expect("READY=1", supervises(first))
	if out, err := get(first.Addrs[0], "/child"); err != nil || strings.Contains(out, sdnotify.EnvSocket) {
		t.Errorf("%s %v", out, err)
	}
	a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
	second := a.expect("ready", 1)
	m.expect(supervises(second))
	a.expect("end", 0)
	a.signal(second.PID, syscall.SIGKILL)
	third := a.expect("ready", 2)
	m.expect("STATUS=generation 1 crashed: (signal: killed|not known, .*); the next one starts in 0s", supervises(third))
	a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
	m.expect("STOPPING=1")
	a.exitsWell()
}

func TestNotify_UnreachableManagerIsLogged(t *testing.T) {
	t.Parallel()
	for name, log := range map[string]string{
		"/nowhere/at/all": "the service manager can't be told",
		"none":            "the service manager is not told anything",
	} {
		a := installed(t)
		activate(a, "SYSTEMD_EXEC_PID=$$ "+sdnotify.EnvSocket+"="+name, nil)
		first := a.expect("ready", 0)
		a.expectLog(log, 1)
		a.stopAll(a.next(first).PID)
	}
}

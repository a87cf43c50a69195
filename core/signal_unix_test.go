//go:build unix

package core_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// TestSignalDuringUpgrade: it is remembered once, not lost and not run twice.
func TestSignalDuringUpgrade(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	a.setMode("wait")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	for range 20 {
		a.signal(first.PID, syscall.SIGUSR2)
		a.signal(first.PID, syscall.SIGHUP)
	}
	a.expectLog("signal: upgrade", 2)
	a.setMode("")
	a.expect("ready", 1)
	a.expect("ready", 2)
	a.expect("end", 1)
	if got := len(a.all()); got != 3+2+2+1 { // ready, end, postfork, checking
		t.Errorf("%d events: %v", got, a.all())
	}
}

// TestSignalDuringFailedUpgrade: the one that was remembered is a new try.
func TestSignalDuringFailedUpgrade(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	behave("waitfail")(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("signal: upgrade", 2)
	mend(t, a)
	a.expectLog("upgrade failed", 1)
	if ev := a.expect("ready", 1); ev.Gen != 1 {
		t.Errorf("generation %d", ev.Gen)
	}
}

// TestFailuresDoNotRepeat: a signal that came during a failed upgrade is one more
// try, and not one after each failure.
func TestFailuresDoNotRepeat(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	behave("waitfail")(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("signal: upgrade", 2)
	behave("exit7")(t, a)
	a.expectLog("upgrade failed", 2)
	if err := a.upgrade(first.Addrs[0]); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("upgrade = %v: was there one more in progress?", err)
	}
}

// TestStopToAllProcesses: a SIGTERM for the whole service, while the new process
// has not said yet what it is, is no "ready" of its own.
func TestStopToAllProcesses(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.attr = &syscall.SysProcAttr{Setpgid: true}
	a.start("app", "./app")
	first := a.expect("ready", 0)
	deploy(t, a, func(path string) { must(t, writeProgram(path, "#!/bin/sh\nsleep 50\n")) })
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("postfork", 0)
	a.signal(-first.PID, syscall.SIGTERM)
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
	a.expectGone()
}

// TestStopWhileGivingUp: a SIGTERM while a silent new process that was given up is
// being ended is no "ready" of it.
func TestStopWhileGivingUp(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app")
	first := a.expect("ready", 0)
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\ntrap 'touch told' TERM\ntouch up\nwhile :; do sleep 0.1; done\n"))
	})
	giveUp := a.beginUpgrade(first.Addrs[0])
	a.awaitFile("up")
	giveUp()
	a.awaitFile("told")
	a.signal(first.PID, syscall.SIGTERM)
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
	a.expectGone()
}

// TestStopGracefully: TERM, INT and QUIT finish what is asked, remove the pid
// file, and exit 0.
func TestStopGracefully(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", "-pidfile", "app.pid")
			first := a.expect("ready", 0)
			var clients []*quietClient
			for range 4 {
				c := dialQuietly(t, first.Addrs[0], first.PID)
				c.begin(t)
				clients = append(clients, c)
			}
			expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == len(clients)+1 })
			a.signal(first.PID, sig)
			a.expectLog("msg=draining", 1)
			for _, c := range clients {
				c.finish(t, first.PID)
			}
			if end := a.expect("end", 0); end.Err != "" {
				t.Error(end.Err)
			}
			a.expectGone()
			if status := a.AwaitExit(); status != 0 {
				t.Errorf("exit status %d", status)
			}
			if _, err := os.Stat(filepath.Join(a.dir, "app.pid")); !os.IsNotExist(err) {
				t.Errorf("the pid file after the stop: %v", err)
			}
		})
	}
}

// TestSecondStopSignal ends at once.
func TestSecondStopSignal(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	_, r := dial(t, first.Addrs[0], "/?d=50s")
	_, _ = dial(t, first.Addrs[0], "/?d=50s")
	a.expect("handling", 1)
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("signal: stop", 1)
	a.signal(first.PID, syscall.SIGTERM)
	if end := a.expect("end", 0); !strings.Contains(end.Err, "2 requests") || !strings.Contains(end.Err, core.ErrCut.Error()) {
		t.Errorf("the stop ended with %q", end.Err)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the request: %v", err)
	}
}

func TestReopenSignal(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR1)
	a.expect("reopen", 0)
	if _, err := get(first.Addrs[0], "/"); err != nil {
		t.Error(err)
	}
}

// TestDrainingRefusesUpgrade: a signal to the old process number does nothing
// but say where to send it.
func TestDrainingRefusesUpgrade(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	client := dialQuietly(t, first.Addrs[0], first.PID)
	client.begin(t) // the old process is there until it has answered
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.expectLog("msg=draining", 1)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("current_pid="+itoa(second.PID), 1)
	client.finish(t, first.PID)
}

// TestUpgradeSignalBeforeReady is refused and forgotten.
func TestUpgradeSignalBeforeReady(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	behave("wait")(t, a)
	a.start("app", "./app")
	pid := a.expect("checking", 0).PID
	a.signal(pid, syscall.SIGUSR2)
	a.expectLog("upgrade refused", 1)
	a.expectLog("not ready yet", 1)
	a.setMode("")
	a.expect("ready", 0)
	a.signal(pid, syscall.SIGUSR1) // handled after whatever ready has led to
	a.expect("reopen", 0)
	a.signal(pid, syscall.SIGTERM)
	a.expectGone()
	if got := len(a.all()); got != 4 { // checking, ready, reopen, end
		t.Errorf("%d events: %v", got, a.all())
	}
}

// TestIgnoredHangup: under nohup a hangup is not an upgrade.
func TestIgnoredHangup(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "real"))
	must(t, writeProgram(filepath.Join(a.dir, "app"), "#!/bin/sh\ntrap '' HUP\nexec ./real\n"))
	a.start("app", "./app")
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGHUP)
	a.signal(first.PID, syscall.SIGUSR1) // handled after it
	a.expect("reopen", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expect("end", 0)
	a.expectLog("generation ended", 1) // what was said before is there
	if got := strings.Count(a.log(), "signal: upgrade"); got != 1 {
		t.Errorf("%d upgrades", got)
	}
}

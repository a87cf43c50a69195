//go:build unix

package core_test

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func TestUpgrade_SecondSignalIsQueued(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.setMode("wait")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	for range 20 {
		a.signal(first.PID, syscall.SIGUSR2)
		a.signal(first.PID, syscall.SIGHUP)
	}
	a.expectLog("signal: upgrade", 2)
	a.setMode("")
	a.expect("ready", 2) // one upgrade more, not 40
	a.expect("end", 1)
	if got := len(a.all()); got != 3+2+2+1 { // ready, end, postfork, checking
		t.Errorf("%d events: %v", got, a.all())
	}
}

func TestUpgrade_QueuedSignalTriesOnceAfterFailure(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(t *testing.T, a *app, first event){
		"a version that works": func(t *testing.T, a *app, _ event) {
			a.setMode("")
			a.expectLog("upgrade failed", 1)
			if ev := a.expect("ready", 1); ev.Gen != 1 {
				t.Errorf("generation %d", ev.Gen)
			}
		},
		"a version that fails, too": func(t *testing.T, a *app, first event) {
			a.setMode("exit7")
			a.expectLog("upgrade failed", 2)
			// It would be refused if one more were in progress.
			expectError(t, a.upgrade(first.Addrs[0]), "exit status 7")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t)
			a.setMode("waitfail")
			a.signal(first.PID, syscall.SIGUSR2)
			a.expect("checking", 0)
			a.signal(first.PID, syscall.SIGUSR2)
			a.expectLog("signal: upgrade", 2)
			again(t, a, first)
		})
	}
}

// TestStop_IsNoReadyOfASilentProcess has a new process that has not said yet what it is. From a program that
// speaks the plain protocol SIGTERM would be "ready".
func TestStop_IsNoReadyOfASilentProcess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		stop   func(a *app, first event)
	}{
		"sent to the whole service": {"sleep 50\n", func(a *app, first event) {
			a.signal(first.PID, syscall.SIGUSR2)
			a.expect("postfork", 0)
			a.signal(-first.PID, syscall.SIGTERM)
		}},
		"sent while it is given up": {
			"trap 'touch told' TERM\ntouch up\nwhile :; do sleep 0.1; done\n",
			func(a *app, first event) {
				giveUp := a.beginUpgrade(first.Addrs[0])
				a.awaitFile("up")
				giveUp()
				a.awaitFile("told")
				a.signal(first.PID, syscall.SIGTERM)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t)
			deployWrapper(t, a, c.script)
			c.stop(a, first)
			a.endsWell(0)
			a.expectGone()
		})
	}
}

func TestStop_FinishesWhatIsAsked(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, "-pidfile", "app.pid")
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
			a.endsWell(0)
			a.exitsWell()
			if _, err := os.Stat(a.path("app.pid")); !os.IsNotExist(err) {
				t.Errorf("the pid file after the stop: %v", err)
			}
		})
	}
}

func TestStop_SecondSignalCuts(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?d=50s")
	rawhttp.Dial(t, first.Addrs[0]).Ask("/?d=50s")
	a.expect("handling", 1)
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("signal: stop", 1)
	a.signal(first.PID, syscall.SIGTERM)
	expectText(t, a.expect("end", 0).Err, "2 requests", core.ErrCut.Error())
	if _, err := c.Reader.ReadByte(); err != io.EOF {
		t.Errorf("the request: %v", err)
	}
}

func TestUpgrade_SignalToADrainingProcessNamesTheCurrentOne(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
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

func TestUpgrade_SignalBeforeReadyIsForgotten(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.setMode("wait")
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

func TestUpgrade_HangupUnderNohupIsIgnored(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, a.path("real"))
	must(t, writeProgram(a.path("app"), "#!/bin/sh\ntrap '' HUP\nexec ./real\n"))
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

//go:build unix

package core_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// startApp starts the app, and returns the process that serves first.
func startApp(t testing.TB, args ...string) (a *app, first event) {
	t.Helper()
	return startEnv(t, nil, args...)
}

// startEnv is startApp with more environment.
func startEnv(t testing.TB, env []string, args ...string) (a *app, first event) {
	t.Helper()
	a = prepare(t)
	a.env = env
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app", args...)
	return a, a.expect("ready", 0)
}

// write makes a file in the app's directory.
func (a *app) write(name, text string) {
	a.t.Helper()
	must(a.t, os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644))
}

// next upgrades the process by signal, and returns its next generation, the n-th process of all that are ready.
func (a *app) next(old event, n int) event {
	a.t.Helper()
	a.signal(old.PID, syscall.SIGUSR2)
	ev := a.expect("ready", n)
	if ev.Gen != old.Gen+1 {
		a.t.Errorf("generation %d comes after %d", ev.Gen, old.Gen)
	}
	return ev
}

// expectUpgradeError asks the process at addr to upgrade itself, and checks what it says.
func (a *app) expectUpgradeError(addr, want string) {
	a.t.Helper()
	if err := a.upgrade(addr); err == nil || !strings.Contains(err.Error(), want) {
		a.t.Errorf("Upgrade = %v, want %q", err, want)
	}
}

// reject has the process at addr reject itself.
func (a *app) reject(addr, why string) {
	a.t.Helper()
	if err := a.call(addr, "/reject?why="+why); err == nil || err.Error() != "<nil>" {
		a.t.Errorf("Reject = %v", err)
	}
}

// stop ends the service by a signal to the process.
func (a *app) stop(pid int) {
	a.t.Helper()
	a.signal(pid, syscall.SIGTERM)
	a.expectGone()
}

// expectEnd returns the n-th end, which has to be without an error.
func (a *app) expectEnd(n int) event {
	a.t.Helper()
	end := a.expect("end", n)
	if end.Err != "" {
		a.t.Errorf("process %d ended with %q", end.PID, end.Err)
	}
	return end
}

// expectAt checks which process accepts at addr, and returns its ledger.
func (a *app) expectAt(addr string, want event) core.Ledger {
	a.t.Helper()
	st := getJSON[core.Ledger](a.t, addr, "/stats")
	if st.PID != want.PID {
		a.t.Errorf("process %d accepts at %s, want %d", st.PID, addr, want.PID)
	}
	return st
}

// expectCurrent is expectAt, and the process has to be current.
func (a *app) expectCurrent(addr string, want event) {
	a.t.Helper()
	if st := a.expectAt(addr, want); st.State != core.StateCurrent {
		a.t.Errorf("process %d is %v", st.PID, st.State)
	}
}

// dialAsked opens a connection on which a request has been answered.
func dialAsked(t testing.TB, addr string) *rawhttp.Client {
	t.Helper()
	c := rawhttp.Dial(t, addr)
	c.Ask("/")
	c.Answer()
	return c
}

// answeredBy reads the next answer, and checks which generation has given it.
func answeredBy(t testing.TB, c *rawhttp.Client, generation int) rawhttp.Reply {
	t.Helper()
	resp := c.Answer()
	if got := resp.Header.Get("X-Generation"); got != itoa(generation) {
		t.Errorf("generation %s answers, want %d", got, generation)
	}
	return resp
}

// connOf asks for what the server knows of the connection.
func connOf(t testing.TB, c *rawhttp.Client) (info connInfo, closes bool) {
	t.Helper()
	c.Ask("/conn")
	resp := c.Answer()
	must(t, json.Unmarshal(resp.Body, &info))
	return info, resp.Close
}

// stopUnfailed ends the load, of which no request may have failed.
func stopUnfailed(t testing.TB, run *load.Run) load.Result {
	t.Helper()
	res := run.Stop()
	t.Log(res)
	if res.Failed != 0 || res.Requests == 0 {
		t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
	}
	return res
}

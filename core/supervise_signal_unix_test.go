//go:build unix

package core_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestSupervised_SignalsReachAPlainProgram that has taken over. It speaks only the plain protocol.
func TestSupervised_SignalsReachAPlainProgram(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t, "-addr", "127.0.0.1:0")
	deployPlain(t, a)
	a.signal(master, syscall.SIGUSR2)
	a.expect("end", 0)
	expectAnswers(t, first.Addrs[0])
	a.signal(master, syscall.SIGTERM)
	a.exit()
}

// TestSupervised_StopInAnUpgradeIsNoCrash ends both workers while the new one starts.
func TestSupervised_StopInAnUpgradeIsNoCrash(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t)
	slow := rawhttp.Dial(t, first.Addrs[0])
	slow.Ask("/?d=2s") // the stop takes longer than noticing the end of the new one
	a.expect("handling", 0)
	a.setMode("wait")
	a.signal(master, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(master, syscall.SIGTERM)
	slow.Answer()
	a.exitsWell()
	if s := a.log(); strings.Contains(s, "given up\"") || strings.Contains(s, "crashed") {
		t.Error("the stop was taken for a crash")
	}
}

// TestSupervised_SignalThatCrossesAHandoverUpgrades has a supervisor that does not know yet that the worker which it
// passes the signal on to drains.
func TestSupervised_SignalThatCrossesAHandoverUpgrades(t *testing.T) {
	t.Parallel()
	a, master, ev := supervisedServing(t)
	for i := range 4 {
		client := dialQuietly(t, ev.Addrs[0], ev.PID)
		client.begin(t) // keeps the worker there
		expectStats(t, ev.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
		a.freeze(master)
		a.signal(ev.PID, syscall.SIGHUP)
		a.expect("ready", 2*i+1)
		a.signal(master, syscall.SIGUSR2)
		a.signal(master, syscall.SIGCONT)
		next := a.expect("ready", 2*i+2)
		client.finish(t, ev.PID)
		ev = next
	}
	a.stopsWell()
}

// TestSupervised_StopThatCrossesAHandoverEndsBoth has a supervisor that does not know yet that the worker which it
// asks to stop has handed over on probation. To that one alone a stop would be the end of the probation.
func TestSupervised_StopThatCrossesAHandoverEndsBoth(t *testing.T) {
	t.Parallel()
	a, master, first := supervisedServing(t, "-probation", "4m")
	a.freeze(master)
	a.signal(first.PID, syscall.SIGHUP)
	a.expect("ready", 1)
	a.signal(master, syscall.SIGTERM)
	a.signal(master, syscall.SIGCONT)
	a.exitsWell()
}

// TestSupervised_SignalsInAHurryReachTheCurrentWorker, whichever that is.
func TestSupervised_SignalsInAHurryReachTheCurrentWorker(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		a, master, first := supervisedServing(t)
		for n := range 10 {
			a.signal(master, syscall.SIGHUP)
			if n%2 == 0 {
				a.expect("ready", n/2+1)
			}
		}
		expectAnswers(t, first.Addrs[0])
		if i%2 == 0 {
			a.signal(master, syscall.SIGHUP)
		}
		a.stopsWell()
	}
}

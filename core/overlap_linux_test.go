package core_test

import (
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// everywhere is the address on all interfaces with the port of addr, and elsewhere one that only listens there.
func everywhere(addr string) string { return ":" + port(addr) }
func elsewhere(addr string) string  { return "127.200.1.1:" + port(addr) }

// TestOverlap_AddressWidensAndNarrows changes the address of a port between one interface and all of them, several
// times. A client of the one interface notices nothing. One of another interface is answered while it may be.
func TestOverlap_AddressWidensAndNarrows(t *testing.T) {
	t.Parallel()
	every := func(at string) string { return "0.0.0.0" + everywhere(at) }
	for name, addrs := range map[string]func(at string) []string{
		"from one interface": func(at string) []string { return []string{at, everywhere(at), at, every(at), at} },
		"from all of them":   func(at string) []string { return []string{everywhere(at), at, every(at)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := proctest.FreeAddr(t)
			versions := addrs(at)
			a, _, ev := withPorts(t, "main "+versions[0])
			run := load.Start(load.Config{Addr: at, Clients: 4, Fresh: 4})
			awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: "0"})
			for i, addr := range versions[1:] {
				a.ports("main " + addr)
				ev = a.next(ev)
				awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
				if addr != at {
					awaitAnswer(t, elsewhere(at))
				}
				a.expectLog("the old process's listener is closed", i+1)
				if addr == at {
					awaitRefused(t, elsewhere(at))
				} else {
					expectAnswers(t, elsewhere(at))
				}
			}
			if res := expectLossless(t, run); res.Reconnects != 0 {
				t.Errorf("%d clients had to connect again", res.Reconnects)
			}
			a.stopAll(ev.PID)
		})
	}
}

// TestOverlap_UpgradesInBetween upgrades again before the listener of an old process has ended.
func TestOverlap_UpgradesInBetween(t *testing.T) {
	t.Parallel()
	at := proctest.FreeAddr(t)
	a, _, ev := withPorts(t, "main "+at)
	run := load.Start(load.Config{Addr: at, Fresh: 8})
	awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: "0"})
	stream := asked(t, at, "/?hold=release") // keeps the first process
	a.expect("handling", 0)
	for _, addr := range []string{everywhere(at), everywhere(at), at, at, everywhere(at)} {
		a.ports("main " + addr)
		ev = a.next(ev)
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
	}
	a.write("release", "")
	stream.Close()
	a.expectLog("the old process's listener is closed", 1)
	expectLossless(t, run)
	expectAnswers(t, elsewhere(at))
	a.stopAll(ev.PID)
}

// TestOverlap_IsRolledBack has versions with the other address that turn out to be bad: the old process has its
// listener as before.
func TestOverlap_IsRolledBack(t *testing.T) {
	t.Parallel()
	for name, ports := range map[string]func(at string) (before, after string){
		"wider":    func(at string) (string, string) { return at, everywhere(at) },
		"narrower": func(at string) (string, string) { return everywhere(at), at },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := proctest.FreeAddr(t)
			before, after := ports(at)
			a := installed(t)
			a.env = []string{"APP_PROBATION=4m"}
			a.ports("main " + before)
			a.start("ports", "./app")
			ev := a.expect("ready", 0)
			run := load.Start(load.Config{Addr: at, Clients: 4, Fresh: 4})
			a.ports("main "+after, "reject")
			for i := range 3 {
				o, err := control.Dial(a.path("ctl.sock")).Upgrade(t.Context(), control.UpgradeOptions{})
				must(t, err)
				if o.Kind != control.KindRolledBack {
					t.Errorf("outcome %+v", o)
				}
				a.expect("end", i)
				awaitRequests(t, run, run.Snapshot().Requests+100)
			}
			expectLossless(t, run)
			if before == at {
				awaitRefused(t, elsewhere(at))
			} else {
				expectAnswers(t, elsewhere(at))
			}
			a.stopAll(ev.PID)
		})
	}
}

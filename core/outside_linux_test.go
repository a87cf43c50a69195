package core_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// outsideOf are the addresses in the status that gracex does not hold.
func outsideOf(g control.Generation) (addrs []string) {
	for _, l := range g.Listeners {
		if l.Outside {
			addrs = append(addrs, l.Address)
		}
	}
	return addrs
}

// TestOutside_IsNamed has a port that the program has opened by net.Listen: the log names it once, the status and the
// answer to an upgrade each time.
func TestOutside_IsNamed(t *testing.T) {
	t.Parallel()
	at := proctest.FreeAddr(t)
	a, c, ev := withPorts(t, "main 127.0.0.1:0", "also 127.0.0.1:0 metrics", "outside "+at)
	a.expectLog("this process also listens outside gracex", 1)
	st := status(t, c, func(control.Status) bool { return true })
	if got := outsideOf(st.Generations[0]); !slices.Equal(got, []string{at}) {
		t.Errorf("the status has %q outside gracex, want %q", got, at)
	}
	var warnings []string
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Events: func(e control.Event) {
		if e.Step == control.StepWarning {
			warnings = append(warnings, e.Text)
			if e.PID != ev.PID {
				t.Errorf("process %d is warned of, want %d", e.PID, ev.PID)
			}
		}
	}})
	must(t, err)
	if !o.OK || len(warnings) != 1 || !slices.Equal(o.Warnings, warnings) {
		t.Fatalf("outcome %+v, warnings %q", o, warnings)
	}
	expectText(t, warnings[0], at, "core.AlsoServe")
	second := a.expect("ready", 1)
	if st := status(t, c, func(st control.Status) bool { return st.PID == second.PID }); len(outsideOf(st.Generations[0])) != 0 {
		t.Errorf("process %d could not open %s, and has %+v", second.PID, at, st.Generations[0].Listeners)
	}
	if n := strings.Count(a.log(), "also listens outside gracex"); n != 1 {
		t.Errorf("%d lines of the log name it, want 1", n)
	}
	a.stopAll(second.PID)
}

// TestOutside_IsTakenOverByAlsoServe has a new version that opens the port by gracex: no connection is refused.
func TestOutside_IsTakenOverByAlsoServe(t *testing.T) {
	t.Parallel()
	at := proctest.FreeAddr(t)
	a, _, ev := withPorts(t, "main 127.0.0.1:0", "outside "+at)
	run := load.Start(load.Config{Addr: at, Fresh: 8})
	awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: "0"})
	a.ports("main "+ev.Addrs[0], "also "+at)
	for range 2 {
		ev = a.next(ev)
		a.endsWell(ev.Gen - 1)
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
	}
	expectRefusedNone(t, run)
	a.stopAll(ev.PID)
}

// expectRefusedNone stops the load. A connection that the program itself has accepted can end with it.
func expectRefusedNone(t *testing.T, run *load.Run) {
	t.Helper()
	res := run.Stop()
	t.Log(res)
	if n := res.Reasons[load.Refused]; n != 0 {
		t.Errorf("%d connections were refused", n)
	}
}

// TestOutside_IsFoundLater is about a socket that is opened after this process has become ready, a copy of its
// descriptor, and one that gracex holds.
func TestOutside_IsFoundLater(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	held, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, u.Ready())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	file, err := ln.(*net.TCPListener).File()
	must(t, err)
	defer file.Close()
	find := func(address string) (found []core.ListenerStatus) {
		for _, l := range u.Status().Listeners {
			if l.Address == address {
				found = append(found, l)
			}
		}
		return found
	}
	proctest.Await(t, "the socket is found", func() bool { return len(find(ln.Addr().String())) > 0 })
	if got := find(ln.Addr().String()); len(got) != 1 || !got[0].Outside || got[0].Network != "tcp" {
		t.Errorf("found %+v", got)
	}
	if got := find(held.Addr().String()); len(got) != 1 || got[0].Outside {
		t.Errorf("the listener that gracex holds: %+v", got)
	}
}

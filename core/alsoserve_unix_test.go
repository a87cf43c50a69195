//go:build unix

package core_test

import (
	"crypto/tls"
	"net/http"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestAlsoServe_GoesThroughUpgrades has clients on the first port and on two more, one of them with TLS. None of them
// notices an upgrade, and those without TLS keep their connection.
func TestAlsoServe_GoesThroughUpgrades(t *testing.T) {
	t.Parallel()
	a := installed(t)
	crt, key, pool := rawhttp.Certificate(t)
	a.env = []string{"APP_CERT=" + crt, "APP_KEY=" + key}
	a.ports("main 127.0.0.1:0", "also 127.0.0.1:0 metrics", "alsotls 127.0.0.1:0 admin")
	a.start("ports", "./app")
	ev := a.expect("ready", 0)
	if len(ev.Addrs) != 3 {
		t.Fatalf("it listens on %q, want 3 addresses", ev.Addrs)
	}
	st := status(t, control.Dial(a.path("ctl.sock")), func(control.Status) bool { return true })
	var names []string
	for _, l := range st.Generations[0].Listeners {
		names = append(names, l.Name)
		if !slices.Contains(ev.Addrs, l.Address) || l.Outside {
			t.Errorf("the status has %+v", l)
		}
	}
	if want := []string{"", "metrics", "admin"}; !slices.Equal(names, want) {
		t.Errorf("the servers are called %q, want %q", names, want)
	}
	a.expectLog("addresses=\"["+ev.Addrs[0]+" metrics "+ev.Addrs[1]+" admin "+ev.Addrs[2]+"]\"", 1)
	first := load.Start(load.Config{Addr: ev.Addrs[0], Clients: 4, Fresh: 4})
	metrics := load.Start(load.Config{Addr: ev.Addrs[1], Clients: 4, Fresh: 4})
	admin := load.Start(load.Config{Addr: ev.Addrs[2], TLS: &tls.Config{RootCAs: pool}, Clients: 4, Fresh: 4})
	for range 3 {
		ev = a.next(ev)
		for _, run := range []*load.Run{first, metrics, admin} {
			awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
		}
	}
	if res := expectLossless(t, first); res.Reconnects != 0 {
		t.Errorf("%d clients of the first port had to connect again", res.Reconnects)
	}
	if res := expectLossless(t, metrics); res.Reconnects != 0 {
		t.Errorf("%d clients of the second port had to connect again", res.Reconnects)
	}
	expectLossless(t, admin)
	a.stopAll(ev.PID)
}

// TestAlsoServe_FailsWithThePort has a new version whose second port is taken: it does not become ready, and the old
// process serves on.
func TestAlsoServe_FailsWithThePort(t *testing.T) {
	t.Parallel()
	a, c, ev := withPorts(t, "main 127.0.0.1:0")
	taken := occupied(t)
	a.ports("main "+ev.Addrs[0], "also "+taken)
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	must(t, err)
	if o.OK || o.Kind != control.KindFailed {
		t.Errorf("outcome %+v", o)
	}
	expectText(t, o.Reason, taken, "address already in use")
	expectAnswers(t, ev.Addrs...)
}

// TestAlsoServe_NeedsAServer is about a mistake in the wiring, and what net/http does with a server that was shut down.
func TestAlsoServe_NeedsAServer(t *testing.T) {
	t.Parallel()
	t.Run("nil", func(t *testing.T) {
		u := core.NewTest(t, core.AlsoServeServer(nil))
		expectError(t, u.Ready(), "AlsoServeServer: the server is nil")
	})
	twice := core.AlsoServe("127.0.0.1:0", nil)
	for _, time := range []string{"once", "twice"} {
		t.Run(time, func(t *testing.T) {
			must(t, core.NewTest(t, twice).Ready())
		})
	}
}

// TestAlsoServe_SaysWhatIsWrong with an address, or the files of a certificate, and what to do.
func TestAlsoServe_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := http.NotFoundHandler()
	taken := proctest.FreeAddr(t)
	for name, tt := range map[string]struct {
		also core.Option
		want []string
	}{
		"the address of another server": {core.AlsoServe(taken, h),
			[]string{taken, "address already in use; this process itself listens on " + taken + ": open each address once"}},
		"a path": {core.AlsoServe("/run/app.sock", h),
			[]string{"listen tcp", "/run/app.sock", `as in Upgrader.Listen(ctx, "unix", "/run/app.sock")`}},
		"a port alone":   {core.AlsoServe("9090", h), []string{"9090", "write host:port, or :port"}},
		"no such port":   {core.AlsoServe(":nonsense", h), []string{"nonsense"}},
		"no such file":   {core.AlsoServeTLS("127.0.0.1:0", "none.crt", "none.key", h), []string{"serve 127.0.0.1:", "none.crt"}},
		"no certificate": {core.AlsoServeTLS("127.0.0.1:0", "", "", h), []string{"serve 127.0.0.1:", "no certificate: name the files"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t, tt.also)
			_, err := u.Listen(t.Context(), "tcp", taken)
			must(t, err)
			expectError(t, u.Ready(), tt.want...)
		})
	}
}

// TestAlsoServe_ComesAndGoes has versions whose further ports differ. Clients of the first port notice nothing.
func TestAlsoServe_ComesAndGoes(t *testing.T) {
	t.Parallel()
	one, two := proctest.FreeAddr(t), proctest.FreeAddr(t)
	a, _, ev := withPorts(t, "main 127.0.0.1:0", "also "+one+" metrics")
	first := ev.Addrs[0]
	run := load.Start(load.Config{Addr: first, Clients: 2, Fresh: 2})
	for _, tt := range []struct{ ports, answer, refuse []string }{
		{[]string{"also " + two}, []string{two}, []string{one}},
		{[]string{"also " + one, "also " + two}, []string{one, two}, nil},
		{nil, nil, []string{one, two}},
	} {
		a.ports(append(tt.ports, "main "+first)...)
		ev = a.next(ev)
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
		expectAnswers(t, tt.answer...)
		for _, addr := range tt.refuse {
			awaitRefused(t, addr)
		}
	}
	if res := expectLossless(t, run); res.Reconnects != 0 {
		t.Errorf("%d clients had to connect again", res.Reconnects)
	}
	a.stopAll(ev.PID)
}

// TestAlsoServe_IsRolledBack with a version that drops a port and adds another one: the clients of the dropped one
// notice nothing, and the added one is closed.
func TestAlsoServe_IsRolledBack(t *testing.T) {
	t.Parallel()
	one, two := proctest.FreeAddr(t), proctest.FreeAddr(t)
	a := installed(t)
	a.env = []string{"APP_PROBATION=4m"}
	a.ports("main 127.0.0.1:0", "also "+one)
	a.start("ports", "./app")
	ev := a.expect("ready", 0)
	run := load.Start(load.Config{Addr: one, Clients: 2, Fresh: 2})
	awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: "0"})
	a.ports("main "+ev.Addrs[0], "also "+two, "reject")
	o, err := control.Dial(a.path("ctl.sock")).Upgrade(t.Context(), control.UpgradeOptions{})
	must(t, err)
	if o.Kind != control.KindRolledBack {
		t.Errorf("outcome %+v", o)
	}
	awaitRefused(t, two)
	awaitRequests(t, run, run.Snapshot().Requests+50)
	if res := expectLossless(t, run); res.Reconnects != 0 {
		t.Errorf("%d clients had to connect again", res.Reconnects)
	}
	a.stopAll(ev.PID)
}

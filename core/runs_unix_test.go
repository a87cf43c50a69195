//go:build unix

package core_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// startPorts is withPorts for calls of Run that are waited for as long as wait says.
func startPorts(t *testing.T, wait string, lines ...string) (*app, *control.Client, event) {
	t.Helper()
	a := installed(t)
	a.env = []string{"APP_RUN_WAIT=" + wait}
	a.ports(lines...)
	a.start("ports", "./app")
	return a, control.Dial(a.path("ctl.sock")), a.expect("ready", 0)
}

// awaitAnswer waits until somebody answers at addr.
func awaitAnswer(t *testing.T, addr string) {
	t.Helper()
	proctest.Await(t, "an answer at "+addr, func() bool { _, err := get(addr, "/"); return err == nil })
}

// TestRun_SeveralCallsGoThroughUpgrades has two servers, each of a call in a goroutine of its own. The clients of
// neither notice an upgrade.
func TestRun_SeveralCallsGoThroughUpgrades(t *testing.T) {
	t.Parallel()
	second, third := proctest.FreeAddr(t), proctest.FreeAddr(t)
	a, _, ev := startPorts(t, "4m", "main 127.0.0.1:0", "run "+second, "run "+third)
	var runs []*load.Run
	for _, addr := range []string{ev.Addrs[0], second, third} {
		awaitAnswer(t, addr)
		runs = append(runs, load.Start(load.Config{Addr: addr, Clients: 2, Fresh: 4}))
	}
	for range 3 {
		ev = a.next(ev)
		for _, run := range runs {
			awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
		}
	}
	for _, run := range runs {
		if res := expectLossless(t, run); res.Reconnects != 0 {
			t.Errorf("%d clients had to connect again", res.Reconnects)
		}
	}
	a.stopAll(ev.PID)
	for _, end := range a.of("end") {
		if end.Err != "" {
			t.Errorf("the call for %s returned %s", end.Addrs, end.Err)
		}
	}
	if n := len(a.of("end")); n != 4*3 {
		t.Errorf("%d calls have returned, want 12", n)
	}
}

// TestRun_WaitsForTheOtherCalls has a new process whose second call comes late: it is not ready before.
func TestRun_WaitsForTheOtherCalls(t *testing.T) {
	t.Parallel()
	second := proctest.FreeAddr(t)
	a, c, ev := startPorts(t, "4m", "main 127.0.0.1:0", "late "+second)
	a.write("late", "")
	awaitAnswer(t, second)
	must(t, os.Remove(a.path("late")))
	run := load.Start(load.Config{Addr: second, Clients: 2, Fresh: 4})
	a.signal(ev.PID, syscall.SIGUSR2)
	a.expectLog("msg=listening generation=1", 2) // the control socket, and the first server's
	awaitRequests(t, run, run.Snapshot().Requests+100)
	if st := status(t, c, func(control.Status) bool { return true }); st.PID != ev.PID {
		t.Errorf("process %d serves before its second server is there", st.PID)
	}
	a.write("late", "")
	next := a.expect("ready", 1)
	awaitServed(t, run, load.Server{PID: itoa(next.PID), Generation: "1"})
	expectLossless(t, run)
	a.stopAll(next.PID)
}

// awaitRequests waits until the load has made n requests.
func awaitRequests(t *testing.T, run *load.Run, n int) {
	t.Helper()
	proctest.Await(t, "requests", func() bool { return run.Snapshot().Requests >= n })
}

// TestRun_FewerCallsThanBefore has a new version with one server less, and then one whose second server can't be
// started: that one does not become ready.
func TestRun_FewerCallsThanBefore(t *testing.T) {
	t.Parallel()
	second := proctest.FreeAddr(t)
	a, c, ev := startPorts(t, "1s", "main 127.0.0.1:0", "run "+second)
	awaitAnswer(t, second)
	first := ev.Addrs[0] // the two calls come in any order
	if first == second {
		first = ev.Addrs[1]
	}
	a.ports("main "+first, "run "+occupied(t))
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	must(t, err)
	if o.Kind != control.KindFailed {
		t.Errorf("outcome %+v", o)
	}
	expectText(t, o.Reason, "address already in use")
	expectAnswers(t, first, second)
	a.ports("main " + first)
	next := a.next(ev)
	a.expectLog("this version has not started them", 1)
	a.Await("the second address is closed by both", func() bool {
		c, err := net.Dial("tcp", second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	a.stopAll(next.PID)
}

// TestRun_RefusesOtherOptions is about a second call whose options the first one's Upgrader does not have.
func TestRun_RefusesOtherOptions(t *testing.T) {
	core.Alone(t)
	attach := func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		return u.Attach(&http.Server{}, ln)
	}
	opts := []core.Option{
		core.WithSignals(core.Signals{}), core.WithDrainTimeout(time.Minute), core.OnReopen(func() {}),
		core.WithKeepAlive(net.KeepAliveConfig{Enable: true}), core.AlsoServe("127.0.0.1:0", nil),
	}
	made := make(chan *core.Upgrader, 1)
	ended := make(chan error, 2)
	go func() {
		ended <- core.Run(func(u *core.Upgrader) error { made <- u; return attach(u) }, opts...)
	}()
	u := <-made
	for _, tt := range []struct {
		more core.Option
		want string
	}{
		{core.WithDrainTimeout(time.Hour), "(WithDrainTimeout)"},
		{core.WithPIDFile("x"), "(WithPIDFile)"},
		{core.OnReopen(func() {}), "(OnReopen)"},
		{core.WithLogger(slog.Default()), "(WithLogger)"},
		{core.WithKeepAlive(net.KeepAliveConfig{}), "(WithKeepAlive)"},
		{core.AlsoServe("127.0.0.1:0", nil), "(AlsoServe)"},
		{core.WithSignals(core.DefaultSignals()), "(WithSignals)"},
	} {
		err := core.Run(attach, append(opts[:len(opts):len(opts)], tt.more)...)
		expectIs(t, "a call with "+tt.want, err, core.ErrRunning)
		expectText(t, err.Error(), "this call has other options than the one before "+tt.want)
	}
	joined := make(chan struct{})
	go func() {
		ended <- core.Run(func(u *core.Upgrader) error { defer close(joined); return attach(u) }, opts...)
	}()
	select {
	case <-joined:
	case err := <-ended:
		t.Fatalf("a call with the same options returned %v", err)
	}
	must(t, u.Stop(t.Context()))
	for range 2 {
		must(t, <-ended)
	}
	if fields := core.NamelessOptions(); fields != nil {
		t.Errorf("optionNames has no option for the fields %q of config", fields)
	}
}

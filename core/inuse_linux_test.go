package core_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestInUse_SaysWhoListens has new versions that can't listen on an address, each for another reason. The first four
// learn it from net.Listen and end, the others from core.AlsoServe.
func TestInUse_SaysWhoListens(t *testing.T) {
	t.Parallel()
	outside, also := proctest.FreeAddr(t), proctest.FreeAddr(t)
	a, c, ev := withPorts(t, "main 127.0.0.1:0", "also "+also, "outside "+outside)
	a.expectLog("also listens outside gracex", 1)
	taken := occupied(t)
	for _, tt := range []struct{ line, want string }{
		{"fatal " + outside, fmt.Sprintf("this process (pid %d) itself listens on %s, outside gracex; open it with core.AlsoServe", ev.PID, outside)},
		{"fatal :" + port(outside), fmt.Sprintf("this process (pid %d) itself listens on %s, outside gracex", ev.PID, outside)},
		{"fatal " + also, fmt.Sprintf("this process (pid %d) listens on %s, and hands it over; the new version has to open it with core.Listen", ev.PID, also)},
		{"fatal " + taken, fmt.Sprintf("process %d (core.test) listens on %s; stop it", os.Getpid(), taken)},
		{"also " + ev.Addrs[0], fmt.Sprintf("this process itself listens on %s: open each address once", ev.Addrs[0])},
		{"also :" + port(ev.Addrs[0]), fmt.Sprintf("this process itself listens on %s: open each address once", ev.Addrs[0])},
		{"also " + taken, fmt.Sprintf("another program listens there, process %d (core.test) on %s: stop it", os.Getpid(), taken)},
	} {
		a.ports("main "+ev.Addrs[0], tt.line)
		o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
		must(t, err)
		if o.Kind != control.KindFailed || strings.Count(o.Reason, "listens") != 1 {
			t.Errorf("%s: outcome %+v", tt.line, o)
		}
		expectText(t, o.Reason, tt.want)
	}
	expectAnswers(t, ev.Addrs[0], also, outside)
	a.stopAll(ev.PID)
}

// TestInUse_ProgramThatDoesNotKnowTheHandover takes the old process for another program, which it says to stop.
func TestInUse_ProgramThatDoesNotKnowTheHandover(t *testing.T) {
	u := core.NewTest(t)
	own, nobodys := u.ListenTest(t).Addr().String(), proctest.FreeAddr(t)
	const explained = "; another program listens there, process 7 (app): stop it or choose another address"
	for _, tt := range []struct {
		knows      bool
		text, want string
	}{
		{false, inUse(own), "this process (pid %d) listens on " + own + ", and hands it over; the new process has not answered"},
		{false, inUse(own) + explained, "this process (pid %d) listens on " + own + ", and hands it over; the new process has not answered"},
		{true, inUse(own), "this process (pid %d) listens on " + own + ", and hands it over; the new version has to open it with core.Listen"},
		{true, inUse(own) + explained, ""},
		{false, inUse(nobodys) + explained, ""},
	} {
		want := strings.ReplaceAll(tt.want, "%d", itoa(os.Getpid()))
		if got := u.WhoListens(tt.knows, tt.text); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q, known %v: %q, want %q", tt.text, tt.knows, got, want)
		}
	}
}

// inUse is what package net says.
func inUse(addr string) string { return "listen tcp " + addr + ": bind: address already in use" }

// port is that of an address.
func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

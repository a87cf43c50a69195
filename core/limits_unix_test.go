//go:build unix

package core_test

import (
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestUpgrade_TooFewDescriptorsRefuseIt: nothing has been tried before, and this process serves on.
func TestUpgrade_TooFewDescriptorsRefuseIt(t *testing.T) {
	t.Parallel()
	needsProc(t) // free descriptors are counted in /dev/fd
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 4})
	must(t, a.call(addr, "/limit?free=9"))
	expectError(t, a.upgrade(addr), "descriptors are free, and it takes 13; raise LimitNOFILE=")
	must(t, a.call(addr, "/limit?free=-1"))
	must(t, a.upgrade(addr))
	expectLossless(t, run)
}

// TestUpgrade_WorksWithinTightLimits: 1,024 descriptors, most of them taken, and hardly any memory.
func TestUpgrade_WorksWithinTightLimits(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{"GOMEMLIMIT=24MiB"}
	must(t, writeProgram(a.path("limited"), "#!/bin/sh\nulimit -n 1024\nexec ./app \"$@\"\n"))
	a.start("app", "./limited", "-probation", "200ms")
	first := a.expect("ready", 0)
	idle := make([]*rawhttp.Client, 800)
	for i := range idle {
		idle[i] = answered(t, first.Addrs[0], "/")
	}
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 32, Fresh: 4})
	for i := range 3 {
		a.next(a.expect("ready", i))
		a.expectLog("msg=upgraded", i+1)
		a.expect("end", i)
	}
	for _, c := range idle {
		c.Ask("/")
		if got := c.Answer().Header.Get("X-Generation"); got != "3" {
			t.Fatalf("generation %s answers", got)
		}
	}
	if res := expectLossless(t, run); res.Connects-res.Reconnects < 32 {
		t.Error("not every client has connected")
	}
	if strings.Contains(a.log(), "level=ERROR") || strings.Contains(a.log(), "too many open files") {
		t.Error("the log has complaints")
	}
}

// TestUpgrade_SaysWhyNoConnectionMoves: what is left of a limit of 64 descriptors is kept for new connections.
func TestUpgrade_SaysWhyNoConnectionMoves(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a := installed(t)
	must(t, writeProgram(a.path("limited"), "#!/bin/sh\nulimit -n 64\nexec ./app \"$@\"\n"))
	a.start("app", "./limited")
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 4})
	must(t, a.upgrade(addr))
	a.expectLog("no connections move to this process", 1)
	a.expectLog("ulimit -n", 1)
	expectLossless(t, run)
}

//go:build unix

package main

import (
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
)

// TestMain_Upgrades: the example itself sends an upgrade, and the last counts of both processes.
func TestMain_Upgrades(t *testing.T) {
	t.Parallel()
	p := install(t)
	p.run("main", "-addr", p.Addr, "-pidfile", p.PIDFile)
	p.ask(3)
	old := p.AwaitPID(p.PIDFile, 0)
	p.Signal(old, syscall.SIGUSR2)
	o := control.Outcome{OldPID: old, NewPID: p.AwaitPID(p.PIDFile, old)}
	p.Await("the old process has sent its last span", func() bool {
		return len(p.where(func(s span) bool { return s.name == "gracex.drain" && role(s, o) == "old" })) > 0
	})
	roots := p.where(func(s span) bool { return s.name == "gracex.upgrade" })
	if len(roots) != 1 {
		t.Fatalf("there are the upgrades %+v", roots)
	}
	id, _ := roots[0].attrs["gracex.upgrade.id"].(string)
	p.receives(id, o, upgrades[len(upgrades)-1].want)
	p.ask(2)
	p.stop()
	sum := 0.0
	for _, n := range p.last() {
		if n.name == "gracex.requests.served" {
			sum += n.value
		}
	}
	if sum != 5 {
		t.Errorf("the processes have counted %v requests, want 5", sum)
	}
}

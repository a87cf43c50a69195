package main

import (
	"os"
	"path/filepath"
)

// The ways in which an upgrade fails on purpose.
const (
	failExit   = "exit"   // the new process exits before it has done anything
	failRefuse = "refuse" // its ready check says no
	failVeto   = "veto"   // a hook in the old process says no
	failHang   = "hang"   // the new process does nothing at all
	failStall  = "stall"  // its ready check does not return
)

var (
	quickFailures = []string{failExit, failRefuse, failVeto}
	allFailures   = append([]string{failHang, failStall}, append(quickFailures, quickFailures...)...)
)

// plan is a file that makes one upgrade fail: whoever takes it does what it says.
// So one plan is one failure, however many upgrades there are.
type plan struct{ path string }

func newPlan(dir string) plan { return plan{filepath.Join(dir, "plan")} }

// set makes an upgrade fail that begins from now on.
func (p plan) set(how string) error {
	next := p.path + ".next"
	if err := os.WriteFile(next, []byte(how), 0o600); err != nil {
		return err
	}
	return os.Rename(next, p.path)
}

// clear takes a plan back that nobody has taken.
func (p plan) clear() { os.Remove(p.path) }

// take returns how to fail, and empty if there is no plan or if it is not for the
// caller: a veto is for the old process, everything else for the new one.
func (p plan) take(old bool) string {
	b, err := os.ReadFile(p.path)
	if err != nil || (string(b) == failVeto) != old {
		return ""
	}
	if os.Remove(p.path) != nil {
		return "" // somebody else was first
	}
	return string(b)
}

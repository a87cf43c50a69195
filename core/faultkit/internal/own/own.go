// Package own is what the fault kit and its own server, which are two programs, have to
// know of each other. The kit does not import package core, and so not this server.
package own

import (
	"os"
	"path/filepath"
)

// What the server has in its directory, in a soak or in a storm.
const (
	PIDFile = "pid"
	Socket  = "sock"
	Control = "control" // the control socket
	Runs    = "runs"    // a line for each run of the handler: the pid, and the request's tag
)

// WebSocket is the path at which the server echoes messages.
const WebSocket = "/ws"

// SecureHost is where the server of the cells listens for TLS, with the port that it has in the clear.
const SecureHost = "127.0.0.2"

// What the server logs beside what core does.
const (
	MsgOnPurpose = "this upgrade fails on purpose"
	MsgCensus    = "census"
	// OnPurpose is the error of a veto.
	OnPurpose = "on purpose"
)

// Census is what a process holds. It logs that on SIGUSR1.
type Census struct {
	Goroutines  int
	Descriptors int // all of them
	Connections int // that clients have
	Heap        int // bytes in use after a collection
	RSS         int // bytes
}

// Own is how many descriptors are no client's. While connections come and go it is off by a few.
func (c Census) Own() int { return c.Descriptors - c.Connections }

// Breaks are the ways in which the server can be broken, each for the check that has to find it.
var Breaks = []string{
	"reconnect",  // its connections do not move
	"answer",     // one answer in some hundreds is not the request's
	"echo",       // a hijacked connection gets a wrong byte when it moves
	"count",      // each generation answers a request that is no client's
	"log",        // each generation logs an error
	"goroutine",  // each generation that is asked leaks one
	"descriptor", // the same, and the next generation inherits it
	"memory",     // each request leaks some
}

// The ways in which an upgrade fails on purpose.
const (
	FailExit   = "exit"   // the new process exits before it has done anything
	FailRefuse = "refuse" // its ready check says no
	FailVeto   = "veto"   // a hook in the old process says no
	FailHang   = "hang"   // the new process does nothing at all
	FailStall  = "stall"  // its ready check does not return
)

// QuickFailures take no time, AllFailures have the others among them.
var (
	QuickFailures = []string{FailExit, FailRefuse, FailVeto}
	AllFailures   = append([]string{FailHang, FailStall}, append(QuickFailures, QuickFailures...)...)
)

// Plan is a file that makes one upgrade fail: the process that takes it does what it
// says. So one plan is one failure, however many upgrades there are.
type Plan string

// NewPlan is the plan of a server with this directory.
func NewPlan(dir string) Plan { return Plan(filepath.Join(dir, "plan")) }

// Set makes an upgrade fail that begins from now on.
func (p Plan) Set(how string) error {
	next := string(p) + ".next"
	if err := os.WriteFile(next, []byte(how), 0o600); err != nil {
		return err
	}
	return os.Rename(next, string(p))
}

// Clear takes a plan back that nobody has taken.
func (p Plan) Clear() { os.Remove(string(p)) }

// Take returns how to fail, and empty if there is no plan or if it is not for the
// caller: a veto is for the old process, everything else for the new one.
func (p Plan) Take(old bool) string {
	b, err := os.ReadFile(string(p))
	if err != nil || (string(b) == FailVeto) != old {
		return ""
	}
	if os.Remove(string(p)) != nil {
		return "" // another process was first
	}
	return string(b)
}

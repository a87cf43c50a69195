package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

const (
	// poll is how often /proc is looked at while something is waited for.
	poll = 50 * time.Millisecond
	// killTime is more than a process takes to end when it is killed.
	killTime = 5 * time.Second
)

// group is a service in all its generations. The kit has adopted what they leave behind,
// and learns how each of them ends.
type group struct {
	procgroup.Group

	mu    sync.Mutex
	exits []procgroup.Exit
}

// startGroup starts the first process.
func startGroup(cmd *exec.Cmd) (*group, error) {
	procgroup.Lead(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	g := &group{Group: procgroup.Group{Leader: cmd.Process.Pid}}
	return g, cmd.Process.Release() // it is reaped with the others
}

// ended lists how processes have ended.
func (g *group) ended() []procgroup.Exit {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.exits = append(g.exits, g.Reap()...)
	return slices.Clone(g.exits)
}

// members lists the processes, zombies included that the kit can't wait for.
func (g *group) members() []procgroup.Member {
	_ = g.ended()
	return g.Members()
}

// empty reports whether no process is left.
func (g *group) empty() bool { return len(g.members()) == 0 }

// alive lists the processes that live: programs, and shims, which execute the kit's own
// file.
func (g *group) alive() (programs, shims []int) {
	self, _ := os.Readlink("/proc/self/exe")
	for _, m := range g.members() {
		switch {
		case m.Ended():
		case m.Exe() == self:
			shims = append(shims, m.PID)
		default:
			programs = append(programs, m.PID)
		}
	}
	return programs, shims
}

// programs lists the programs that live.
func (g *group) programs() []int {
	pids, _ := g.alive()
	return pids
}

// within reports whether cond holds within a time.
func within(d time.Duration, cond func() bool) bool {
	for limit := time.Now().Add(d); !cond(); time.Sleep(poll) {
		if time.Now().After(limit) {
			return false
		}
	}
	return true
}

// pause lets d pass, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

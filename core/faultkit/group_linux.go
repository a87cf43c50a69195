package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
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
	*procgroup.Process

	mu    sync.Mutex
	exits []procgroup.Exit
}

// startGroup starts the first process, with what cmd.Env adds to the environment. Its control socket is in dir, and
// none that the machine's operator would find. The first process is one that ends: the kit watches it, and it would
// stay for that (core.EnvMode). The kit does without core, which takes variables at its start that the shim needs.
func startGroup(cmd *exec.Cmd, dir string) (*group, error) {
	cmd.Env = slices.Concat([]string{wire.EnvMode + "=self"}, os.Environ(), cmd.Env, []string{"XDG_RUNTIME_DIR=" + dir})
	p, err := procgroup.Start(cmd)
	return &group{Process: p}, err
}

// ended lists how processes have ended.
func (g *group) ended() []procgroup.Exit {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.exits = append(g.exits, g.Reap()...)
	exits := slices.Clone(g.exits)
	select {
	case <-g.Exited():
		if s := g.Cmd.ProcessState; s != nil { // else it was among those
			e := procgroup.Exit{PID: s.Pid(), Status: s.ExitCode()}
			if ws := s.Sys().(syscall.WaitStatus); ws.Signaled() {
				e.Signal = ws.Signal().String()
			}
			exits = append(exits, e)
		}
	default:
	}
	return exits
}

// members lists the processes, zombies included that the kit can't wait for.
func (g *group) members() []procgroup.Member {
	_ = g.ended()
	return g.Members()
}

// empty reports whether no process is left.
func (g *group) empty() bool { return len(g.members()) == 0 }

// alive lists the processes that live: programs, and shims, which execute the kit's own file.
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

// clear ends every process, and returns what is left all the same.
func (g *group) clear() []procgroup.Member {
	g.Close()
	return g.Clear(killTime)
}

// await waits until cond holds, and returns the cause if ctx ends before.
func await(ctx context.Context, cond func() bool) error {
	for !cond() {
		if pause(ctx, poll) != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// within is await for a while.
func within(ctx context.Context, d time.Duration, cond func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return await(ctx, cond)
}

// steady makes a condition that holds when look has returned the same for as long as d, and nothing below 0.
func steady(d time.Duration, look func() int) func() bool {
	was, since := look(), time.Now()
	return func() bool {
		if now := look(); now != was {
			was, since = now, time.Now()
		}
		return was >= 0 && time.Since(since) > d
	}
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

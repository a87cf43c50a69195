package core

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// signalHook is what OnSignal was given.
type signalHook struct {
	sig           os.Signal
	before, after func()
}

// OnSignal adds hooks that run before and after the action of a signal. The signal need not be
// one that gracex handles; if it is not, only the hooks run. Either hook may be nil. The upgrade,
// stop or reopening begins when before has returned. The after hook runs when that action has
// begun or was refused.
//
// Hooks run for one signal at a time, in the order in which they were added. Each has 5 s; a hook
// that takes longer is abandoned. A panic in a hook is logged.
//
// Two signals have no hooks. One is a second stop signal, which cuts the drain and does not wait
// for the hooks of the first. The other is the SIGTERM by which a program that speaks only the
// plain protocol reports that it is ready. Calls of Stop and Upgrade, by the program or over the
// control socket, are not signals.
//
// The hooks run in the process that receives the signal. Under a supervisor this is the current
// worker, for the signals that the supervisor passes on. New fails if the signal can't be caught
// (SIGKILL, SIGSTOP).
func OnSignal(sig os.Signal, before, after func()) Option {
	return func(c *config) {
		if uncatchable(sig) {
			c.signalErr = fmt.Errorf("%sOnSignal: %v can't be caught", prefix, sig)
			return
		}
		c.onSignal = append(c.onSignal, signalHook{sig, before, after})
	}
}

// hooked returns the hooks of a signal.
func (c *config) hooked(sig os.Signal) (hooks []signalHook) {
	for _, h := range c.onSignal {
		if h.sig == sig {
			hooks = append(hooks, h)
		}
	}
	return hooks
}

// hookedSignals are those that have hooks.
func (c *config) hookedSignals() (sigs []os.Signal) {
	for _, h := range c.onSignal {
		sigs = append(sigs, h.sig)
	}
	return sigs
}

// hookRun is a signal whose hooks are to run around what it does.
type hookRun struct {
	sig   os.Signal
	hooks []signalHook
	hurry <-chan struct{} // closed to wait for before no longer
}

// maxHookRuns is how many signals may wait for their hooks, which is more than an operator sends in one
// go. What comes on top has none.
const maxHookRuns = 64

// runSignalHooks runs the hooks of one signal after the other, off the lifecycle's goroutine, which they must not
// block.
func (u *Upgrader) runSignalHooks() {
	for {
		select {
		case r := <-u.hookRuns:
			u.runHooks(r, func(h signalHook) func() { return h.before })
			if u.request(func(l *lifecycle) error { l.act(r.sig); return nil }) != nil {
				return
			}
			r.hurry = nil
			u.runHooks(r, func(h signalHook) func() { return h.after })
			u.post(func(l *lifecycle) { l.stopping.hooksLeft-- })
		case <-u.phase.done:
			return
		}
	}
}

func (u *Upgrader) runHooks(r hookRun, which func(signalHook) func()) {
	for _, h := range r.hooks {
		f := which(h)
		if f == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), timing.Hook)
		stop := make(chan struct{})
		go func() {
			select {
			case <-r.hurry:
				cancel()
			case <-stop:
			}
		}()
		if err := runHook(ctx, func(context.Context) error { f(); return nil }); err != nil {
			u.log.Error("a hook of a signal failed", "signal", r.sig.String(), "error", err)
		}
		close(stop)
		cancel()
	}
}

// around does what a signal means, between its hooks if it has some.
func (l *lifecycle) around(sig os.Signal) {
	hooks := l.cfg.hooked(sig)
	stop := slices.Contains(l.cfg.signals.Stop, sig)
	if stop && l.stopping.hurry != nil {
		close(l.stopping.hurry) // the first one's hooks are not waited for
		l.stopping.hurry = nil
	}
	if len(hooks) == 0 || stop && (l.stopping.signaled || l.stopping.hooked) {
		l.act(sig)
		return
	}
	r := hookRun{sig: sig, hooks: hooks}
	if stop {
		l.stopping.hooked, l.stopping.hurry = true, make(chan struct{})
		r.hurry = l.stopping.hurry
	}
	select {
	case l.u.hookRuns <- r:
		l.stopping.hooksLeft++
	default:
		l.act(sig)
	}
}

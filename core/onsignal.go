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

// OnSignal adds hooks around what a signal does, for any signal that can be caught, also one that gracex
// does nothing with: then they are all that happens. before runs to its end, and then the upgrade, the stop or
// the reopening begins; after runs when it has begun, or was refused. Either may be nil. They run one signal after the other, in the
// order given, and each has 5 s: what takes longer is left behind, and a panic is logged. A second stop signal, which cuts the drain, has
// no hooks, and does not wait for those of the first; nor has the SIGTERM by which a program that speaks only the plain protocol says
// that it is ready. Stop and Upgrade, called by the program or over the control socket, are no signals.
//
// The hooks run in the process that gets the signal: in the supervised mode that is the current worker, for the
// signals that the supervisor passes on. A signal that can't be caught (SIGKILL, SIGSTOP) makes New fail.
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

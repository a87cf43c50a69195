package core

import (
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/proc"
)

// all returns every signal, and those of more, once, without a SIGHUP that stays ignored.
func (s Signals) all(more ...os.Signal) []os.Signal {
	var out []os.Signal
	ignoresHangup := proc.IgnoresHangup(s.Upgrade)
	for _, sig := range slices.Concat(s.Upgrade, s.Stop, s.Reopen, more) {
		if sig == syscall.SIGHUP && ignoresHangup {
			continue
		}
		if !slices.Contains(out, sig) {
			out = append(out, sig)
		}
	}
	return out
}

// forService returns those that are for the service, whichever process it is.
func (s Signals) forService() []os.Signal { return slices.Concat(s.Upgrade, s.Stop, s.Reopen) }

// stop is a stop signal: SIGTERM if it is one, and else the first.
func (s Signals) stop() os.Signal {
	if len(s.Stop) == 0 || slices.Contains(s.Stop, os.Signal(syscall.SIGTERM)) {
		return syscall.SIGTERM
	}
	return s.Stop[0]
}

// under adds the signal by which a foreign master asks for room, unless the program handles
// signals itself.
func (s Signals) under(m *foreign.Master) Signals {
	if m.Retire != nil && len(s.all()) > 0 {
		s.Upgrade = append(slices.Clone(s.Upgrade), m.Retire)
	}
	return s
}

// signalRoom is how many signals wait for the lifecycle.
const signalRoom = 64

// notify delivers the signals, and more, which have hooks, to a channel until stop is called. The channel has room for
// more signals than an operator sends in one go. What the lifecycle does with them does not depend on how many there are.
func (s Signals) notify(more []os.Signal) (ch chan os.Signal, stop func()) {
	if len(s.all(more...)) == 0 {
		return nil, func() {}
	}
	ch = make(chan os.Signal, signalRoom)
	signal.Notify(ch, s.all(more...)...)
	return ch, func() { signal.Stop(ch) }
}

// awaitSignals returns when this process has done what the signals mean that it has got so far. The lifecycle must not
// call it.
func (u *Upgrader) awaitSignals() {
	passSignals()
	done := make(chan struct{})
	u.post(func(l *lifecycle) {
		for len(l.signals) > 0 {
			l.signal(<-l.signals)
		}
		close(done)
	})
	select {
	case <-done:
	case <-u.phase.done:
	}
}

// swallow has an upgrade or reopen signal that comes late do nothing, in a process that has
// handed over and is about to end: the system's own answer would be to kill it.
func (s Signals) swallow(more []os.Signal) {
	more = slices.DeleteFunc(more, func(sig os.Signal) bool { return slices.Contains(s.Stop, sig) })
	s.Stop = nil
	if all := s.all(more...); len(all) > 0 {
		signal.Notify(make(chan os.Signal, 1), all...)
	}
}

//go:build unix

package supervise

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// defaultSignals are those of a program without core.WithSignals.
func defaultSignals() Signals {
	return Signals{
		Upgrade: []os.Signal{syscall.SIGHUP, syscall.SIGUSR2},
		Stop:    []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT},
		Reopen:  []os.Signal{syscall.SIGUSR1},
	}
}

// handled are the signals that the supervisor wants: those of the program, and by default those that would end
// the supervisor. A SIGHUP that stays ignored does so for the workers, too.
func (m *supervisor) handled() []os.Signal {
	return append(m.passedOn(), syscall.SIGCHLD)
}

// passedOn are those of them that are not about the supervisor's own children.
func (m *supervisor) passedOn() []os.Signal {
	s, d := m.cfg.Signals, defaultSignals()
	all := slices.Concat(s.Upgrade, s.Stop, s.Reopen, d.Upgrade, d.Stop, d.Reopen, m.cfg.More)
	if proc.IgnoresHangup(s.Upgrade) {
		all = slices.DeleteFunc(all, func(s os.Signal) bool { return s == syscall.SIGHUP })
	}
	return all
}

// signal passes a signal on, or does what it means.
func (m *supervisor) signal(sig syscall.Signal) {
	if m.cfg.HungUp != nil && m.cfg.HungUp(sig) {
		if m.asked { // the kernel and the shell both say it
			return
		}
		m.cfg.Log.Warn("the terminal was closed: this is a stop")
		sig = m.stopSignal()
	}
	switch {
	case sig == syscall.SIGCHLD:
		m.reap()
	case slices.Contains(m.cfg.Signals.Stop, os.Signal(sig)):
		m.stop(sig)
	case slices.Contains(m.cfg.Signals.Upgrade, os.Signal(sig)):
		m.cfg.Log.Info("signal: upgrade", "signal", sig.String())
		m.pass(sig)
	default:
		m.pass(sig)
	}
}

// pass passes a signal on to the worker that is current. Which one that is may just be
// changing: then it is not taken, and passed on again.
func (m *supervisor) pass(sig syscall.Signal) {
	w, upgrade := m.current(), slices.Contains(m.cfg.Signals.Upgrade, os.Signal(sig))
	switch {
	case upgrade && m.asked:
	case w != nil && !m.known: // a program that has had no Upgrader so far gets its signals as they are
		_ = w.signal(sig)
	case w == nil && upgrade && m.restart != nil: // what is started is what is deployed now
		m.failures = 0
		m.begin()
	case slices.Contains(m.cfg.Signals.Reopen, os.Signal(sig)) && (w == nil || !w.hears()): // it would die of it
		m.reopen = true
	case w == nil:
	case upgrade && w.state < stateCurrent:
		m.upgrade = true
	case w.wayBack: // it is about to serve again, or says that it does not
		m.asks++
		w.later = append(w.later, wire.SignalMsg{ID: m.asks, Signal: int(sig)})
	default:
		m.asks++
		w.ask(wire.SignalMsg{ID: m.asks, Signal: int(sig)})
	}
}

// stopSignal is a stop signal of the program: SIGTERM if it is one, and else the first.
func (m *supervisor) stopSignal() syscall.Signal {
	s := m.cfg.Signals.Stop
	if len(s) == 0 || slices.Contains(s, os.Signal(syscall.SIGTERM)) {
		return syscall.SIGTERM
	}
	return s[0].(syscall.Signal)
}

// stop: the first signal is for the worker that serves, the next ones for all of them.
func (m *supervisor) stop(sig syscall.Signal) {
	m.stops++
	m.cfg.Log.Info("signal: stop", "signal", sig.String(), "workers", len(m.workers))
	if m.stops == 1 {
		m.stopOnce(sig)
		return
	}
	for _, w := range m.workers {
		m.asks++
		w.ask(wire.SignalMsg{ID: m.asks, Signal: int(sig), All: true})
	}
}

// stopOnce stops the service if nobody has asked for that yet.
func (m *supervisor) stopOnce(sig syscall.Signal) {
	if m.asked {
		return
	}
	m.asked, m.upgrade = true, false
	m.tellStops()
	m.notify(sdnotify.Stopping)
	if m.restart != nil || m.current() == nil {
		m.end(nil)
	}
	m.pass(sig)
}

// tellStops tells the program in this process that the service stops.
func (m *supervisor) tellStops() {
	if m.onStop != nil {
		m.onStop()
		m.onStop = nil
	}
}

// reap waits for every child that has ended: workers, and orphans of theirs.
func (m *supervisor) reap() {
	if m.self != nil {
		m.reapWorkers()
		return
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			break
		}
		for _, w := range m.workers {
			if (w.pid == pid || w.child == pid) && w.status == nil {
				w.exits(ws)
			}
		}
	}
	m.look()
}

// reapWorkers waits for workers that have ended, and for no other children of a process that runs a program: the
// program waits for those that it has started, and so for the next generation.
func (m *supervisor) reapWorkers() {
	for _, w := range m.workers {
		if w == m.self || w.pid == 0 || w.child == 0 && w.proc == nil || w.status != nil || !w.started && w.generation <= m.self.generation+1 {
			continue
		}
		var ws syscall.WaitStatus
		child := cmp.Or(w.child, w.pid)
		if pid, err := syscall.Wait4(child, &ws, syscall.WNOHANG, nil); err == nil && pid == child {
			w.exits(ws)
		}
	}
	m.look()
}

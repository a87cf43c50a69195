//go:build unix

package supervise

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// signal passes a signal on, or does what it means.
func (m *supervisor) signal(sig syscall.Signal) {
	switch {
	case sig == syscall.SIGCHLD:
		m.reap()
	case slices.Contains(stopSignals, os.Signal(sig)):
		m.stop(sig)
	case slices.Contains(upgradeSignals, os.Signal(sig)):
		m.cfg.Log.Info("signal: upgrade", "signal", sig.String())
		m.pass(sig)
	default:
		m.pass(sig)
	}
}

// pass passes a signal on to the worker that is current. Which one that is may just be
// changing: then it is not taken, and passed on again.
func (m *supervisor) pass(sig syscall.Signal) {
	w, upgrade := m.current(), slices.Contains(upgradeSignals, os.Signal(sig))
	switch {
	case upgrade && m.stops > 0:
	case w == nil && upgrade && m.restart != nil: // what is started is what is deployed now
		m.failures = 0
		m.begin()
	case sig == syscall.SIGUSR1 && (w == nil || !w.hears()): // it would die of it
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

// stop: the first signal is for the worker that serves, the next ones for all of them.
func (m *supervisor) stop(sig syscall.Signal) {
	m.stops++
	m.upgrade = false
	m.notify(sdnotify.Stopping)
	m.cfg.Log.Info("signal: stop", "signal", sig.String(), "workers", len(m.workers))
	w := m.current()
	if m.restart != nil || w == nil {
		m.end(nil)
	}
	if m.stops == 1 {
		m.pass(sig)
		return
	}
	for _, w := range m.workers {
		m.asks++
		w.ask(wire.SignalMsg{ID: m.asks, Signal: int(sig), All: true})
	}
}

// reap waits for every child that has ended: workers, and orphans of theirs.
func (m *supervisor) reap() {
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
				w.status = &exitStatus{ws}
			}
		}
	}
	m.look()
}

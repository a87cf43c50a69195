//go:build unix

package supervise

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// ended: a worker is no more.
func (m *supervisor) ended(w *worker) {
	defer w.release()
	if w != m.self {
		m.cfg.Log.Info("worker ended", "worker", w.pid, "generation", w.generation, "exit", w.status.String())
	}
	serving := m.current()
	switch {
	case w.state >= stateStopping && w.clean:
		m.end(w.status)
	case m.unanswered(): // w was to take the service back from the one that has crashed
		m.answerCrash(w)
	case w == m.self && len(m.workers) == 0 && m.restart == nil: // the process ends, and all that it supervises
		m.end(nil)
	case !m.known && len(m.workers) == 0 && w.status.clean():
		m.cfg.Log.Info("the program has ended", "worker", w.pid)
		m.end(w.status)
	case m.ending, m.restart != nil, m.stopping():
	case serving != nil:
		// serving serves again, or says that it does not, or ends. That it handed over for good may be on its way.
		returns := serving.wayBack || w.served() && serving.generation < w.generation
		if (returns || serving.kept == nil) && !serving.plain && w.kept != nil {
			// It has them from this one, and may fail yet; then the worker after it gets them.
			m.kept.close()
			m.kept, w.kept = w.kept, nil
		}
		if returns && !serving.plain {
			m.crash = w
			time.AfterFunc(timing.TakeBack, func() {
				select {
				case m.stuck <- w:
				case <-m.quit:
				}
			})
		}
	case w.state == stateDraining && len(m.workers) > 0: // it has done its part
	case w.kept == nil && slices.ContainsFunc(m.workers, func(x *worker) bool { return x.kept != nil }):
		// It never served, and the one with the listeners is about to end: a worker that was started for this one
		// would be without them.
	default:
		if w.kept != nil {
			m.kept.close()
			m.kept, w.kept = w.kept, nil
		}
		m.crashed(w, nil)
	}
	w.kept.close()
	for _, msg := range slices.Concat(w.asked, w.later) {
		m.pass(syscall.Signal(msg.Signal))
	}
}

// unanswered reports whether nobody serves after a crash, because the worker that was to serve again does not.
func (m *supervisor) unanswered() bool {
	return m.crash != nil && m.current() == nil && m.restart == nil && !m.ending && !m.stopping()
}

// answerCrash starts another worker after all. It gets the listeners of the one that does not serve again, if those of
// the one that has crashed had not come.
func (m *supervisor) answerCrash(w *worker) {
	if m.kept == nil {
		m.kept, w.kept = w.kept, nil
	}
	crash := m.crash
	m.crash = nil
	m.crashed(crash, nil)
}

// stopping reports whether a worker stops because it was asked to: what else ends, such as
// the new process of an upgrade that is given up for that, has not crashed.
func (m *supervisor) stopping() bool {
	return slices.ContainsFunc(m.workers, func(w *worker) bool { return w.state >= stateStopping && w.clean })
}

// end starts no more workers, and waits for those that there are.
func (m *supervisor) end(status *exitStatus) {
	m.ending, m.restart = true, nil
	m.tellStops()
	if status != nil {
		m.code = status.code()
	}
	m.kept.close()
	m.kept = nil
}

// crashed: nobody serves. err says why no worker could be started.
func (m *supervisor) crashed(w *worker, err error) {
	if !w.since.IsZero() && time.Since(w.since) >= Stable {
		m.failures = 0
	}
	m.failures++
	m.crash = nil
	args := []any{"worker", w.pid, "exit", w.status.String(), "in_a_row", m.failures}
	if err != nil {
		args = []any{"error", err, "in_a_row", m.failures}
	}
	last := m.cfg.MaxFailures > 0 && m.failures > m.cfg.MaxFailures
	if before := m.soak.Crashes; !m.asked && m.served && (m.soak.crashed(w.fromRelease, time.Since(w.begun)) || last && m.soak.Crashes > before) {
		m.goBack(args) // also sooner, instead of an end of the service
		return
	}
	give := ""
	switch {
	case m.asked:
		give = "a stop was asked for"
	case !m.served:
		give = "it never served"
	case last:
		give = fmt.Sprintf("it crashed %d times in a row", m.failures)
	}
	if give != "" {
		m.cfg.Log.Error("the program is given up", append(args, "why", give)...)
		if m.asked && m.served && w.stoppedEarly(m.cfg.Signals.Stop) {
			m.end(nil)
			return
		}
		m.end(w.status)
		if err != nil {
			m.code, m.err = 1, fmt.Errorf("gracex: supervise: %w", err)
		} else if m.code == 0 && m.served && !m.asked {
			m.code = 1 // it ended without being asked to, however politely
		}
		return
	}
	d := m.cfg.backoff(m.failures)
	m.notify(sdnotify.Status(fmt.Sprintf("generation %d crashed: %s; the next one starts in %v", w.generation, w.status, d)))
	m.cfg.Log.Error("the worker crashed; another one is started", append(args, "in", d, "listeners", m.kept.count())...)
	if d == 0 {
		m.begin()
		return
	}
	m.restart = time.After(d)
}

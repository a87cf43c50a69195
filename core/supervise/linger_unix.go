//go:build unix

package supervise

import (
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// lingers sees to a worker that has handed over and drained, and whose main is still to return. The worker that serves
// ends it within timing.Main (peer.Old.SeeOff). This is for after that: if that one has crashed, nobody else would, and
// the service would never end.
func (m *supervisor) lingers(w *worker) {
	if w.drained || w == m.self {
		return
	}
	w.drained = true
	m.endMainAfter(w, timing.Main+timing.Kill)
}

func (m *supervisor) endMainAfter(w *worker, d time.Duration) {
	time.AfterFunc(d, func() {
		select {
		case m.lingering <- w:
		case <-m.quit:
		}
	})
}

// endMain ends a worker whose main has not returned: by SIGTERM, for which it may wait, and then by SIGKILL.
func (m *supervisor) endMain(w *worker) {
	if w.gone {
		return
	}
	sig := syscall.SIGKILL
	if !w.hurried {
		w.hurried, sig = true, syscall.SIGTERM
		m.endMainAfter(w, timing.Main)
	}
	m.cfg.Log.Warn("the main of a worker that has drained does not return; signal sent", "worker", w.pid, "signal", sig.String())
	_ = w.signal(sig)
}

//go:build unix

package supervise

import (
	"os"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// working lists the workers, other than w, whose background work runs. That of this process can run on after its
// drain, until the execve.
func (m *supervisor) working(w *worker) (pids []int) {
	if m.selfWorks {
		pids = append(pids, os.Getpid())
	}
	for _, other := range m.workers {
		if other != w && other.works && !other.gone && !(other == m.self && m.selfRests) {
			pids = append(pids, other.pid)
		}
	}
	return pids
}

// tellReturned tells the workers that wait for it that no other background work runs any more. Each waits from its
// start on, and hears it once: after that only one before it can begin, which tells it itself.
func (m *supervisor) tellReturned() {
	for _, w := range m.workers {
		if w.waits && len(m.working(w)) == 0 {
			w.waits = w.say(wire.Returned, nil) != nil // it hears it later, or the link's end is noticed
		}
	}
}

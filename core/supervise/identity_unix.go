//go:build unix

package supervise

import (
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// A worker may have given up rights that the supervisor still has. So the supervisor acts on what a worker says only as
// far as the worker could act by itself: docs/security.md.

const (
	// maxKept bounds the listeners that are kept of one worker. It is far above any program's number.
	maxKept = 4096
	// maxWorkers bounds the workers at a time, most of which drain.
	maxWorkers = 4096
)

// named takes the number of the process that a worker says it is: of the one that was started, or of one behind it,
// which is a wrapper script. A number that the worker may not name is good for the log alone, and is never signaled.
func (m *supervisor) named(w *worker, msg wire.StandMsg, by fd.Speaker) {
	if msg.PID <= 0 || msg.PID == w.pid || w == m.self {
		return
	}
	open := proc.Itself
	if msg.Plain { // another worker says it
		open = proc.Named
	}
	p, err := open(msg.PID, by)
	switch {
	case err == nil:
		w.release()
		w.pid, w.proc = p.Pid, p
		return
	case w.pid == 0:
		w.pid = msg.PID // it hears what is said on the link
	}
	m.cfg.Log.Warn("a worker's process number is not believed, and gets no signals", "worker", w.pid, "error", err)
}

// hasRoom reports whether one more worker is followed.
func (m *supervisor) hasRoom() bool {
	if len(m.workers) < maxWorkers {
		return true
	}
	m.cfg.Log.Error("a worker is not followed, because too many are there; end those that drain", "workers", len(m.workers))
	return false
}

// adopt takes the link of a worker that is about to be started by another one.
func (m *supervisor) adopt(s int) {
	err := fd.AskSpeaker(s)
	conn, cerr := fd.UnixConn(s)
	if cerr != nil {
		err = cerr
	}
	if err != nil {
		m.cfg.Log.Error("a worker's link is not understood", "error", err)
		if cerr == nil {
			_ = conn.Close()
		}
		return
	}
	m.add(&worker{conn: conn, waits: true})
	m.tellReturned()
}

//go:build unix

package supervise

import (
	"errors"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// reading is where the reader of a link stands. It stops between two frames when it is asked to, so that
// another image of this process can go on with the link.
type reading struct {
	mu     sync.Mutex
	frame  bool // it is in a frame, which it reads to the end
	park   bool // it is to stop
	parked bool // it has; the supervisor's
}

// errParked is the last word of a reader that was asked to stop.
var errParked = errors.New("parked")

// await returns when something can be read from the link, or with errParked.
func (w *worker) await() error {
	if !w.reading.between() {
		return errParked
	}
	rc, err := w.conn.SyscallConn()
	if err == nil {
		_, _ = fd.Await(rc) // whoever reads finds the error
	}
	if !w.reading.begins() {
		return errParked
	}
	return err
}

// between notes that the reader is in no frame, and reports whether it goes on.
func (r *reading) between() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frame = false
	return !r.park
}

// begins notes that the reader begins a frame, and reports whether it may.
func (r *reading) begins() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frame = !r.park
	return r.frame
}

// park asks the reader to stop.
func (w *worker) park() {
	w.reading.mu.Lock()
	defer w.reading.mu.Unlock()
	if w.reading.park {
		return
	}
	w.reading.park = true
	if !w.reading.frame {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // it waits
	}
}

// hasParked notes that the reader of a link has stopped. It begins anew if that is not wanted any more.
func (m *supervisor) hasParked(w *worker) {
	w.reading.parked = true
	w.reading.mu.Lock()
	wanted := w.reading.park
	w.reading.mu.Unlock()
	if !wanted {
		m.unpark(w)
	}
}

// unpark undoes park.
func (m *supervisor) unpark(w *worker) {
	w.reading.mu.Lock()
	w.reading.park = false
	_ = w.conn.SetReadDeadline(time.Time{})
	w.reading.mu.Unlock()
	if w.reading.parked {
		w.reading.parked = false
		go w.listen(m.words, m.quit)
	}
}

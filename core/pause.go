package core

import (
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
)

// deadliner is a listener whose Accept can be ended.
type deadliner interface{ SetDeadline(time.Time) error }

// sweep ends Accept for good after d: it takes what is queued, and no more.
func (l *listener) sweep(d time.Duration) {
	if dl, ok := l.Listener.(deadliner); ok {
		l.swept.Store(true)
		_ = dl.SetDeadline(time.Now().Add(d))
	}
}

// pause makes Accept wait until resume, and reports whether it can.
func (l *listener) pause() bool {
	dl, ok := l.Listener.(deadliner)
	if ok {
		l.paused.begin()
		l.setNonblock()
		_ = dl.SetDeadline(conns.LongAgo)
	}
	return ok
}

// resume undoes pause.
func (l *listener) resume() {
	if dl, ok := l.Listener.(deadliner); ok {
		_ = dl.SetDeadline(conns.NoDeadline)
		l.paused.end()
	}
}

// pause is a time in which another process accepts. The zero pause is over.
type pause struct {
	mu   sync.Mutex
	next chan struct{} // closed when it comes; nil if it is now
}

// over returns a channel that is closed when the pause is.
func (t *pause) over() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		return always
	}
	return t.next
}

func (t *pause) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next = make(chan struct{})
	}
}

func (t *pause) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next != nil {
		close(t.next)
		t.next = nil
	}
}

// always is closed.
var always = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

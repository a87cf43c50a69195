package peer

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// inquiry asks an old process how it is. The zero inquiry is ready.
type inquiry struct {
	mu      sync.Mutex
	asked   time.Time     // the question that is open; zero: none
	waiting chan struct{} // closed when it is answered; nil if nobody waits
	answer  []control.Generation
}

// Ask returns the report, or false if there is none in time. say asks the question.
func (q *inquiry) Ask(wait time.Duration, say func() error) ([]control.Generation, bool) {
	q.mu.Lock()
	if q.waiting == nil {
		q.waiting = make(chan struct{})
	}
	answered := q.waiting
	due := q.asked.IsZero() || time.Since(q.asked) > timing.AskAgain
	if due {
		q.asked = time.Now()
	}
	q.mu.Unlock()
	if due && say() != nil {
		return nil, false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-answered:
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.answer, true
	case <-t.C:
		return nil, false
	}
}

// take is the answer.
func (q *inquiry) take(f wire.Frame) error {
	var msg wire.ReportMsg
	if err := f.Decode(&msg); err != nil {
		return err
	}
	var all []control.Generation
	if json.Unmarshal(msg.Generations, &all) != nil {
		all = nil // of another version: it is known by its pid
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked, q.answer = time.Time{}, all
	if q.waiting != nil {
		close(q.waiting)
		q.waiting = nil
	}
	return nil
}

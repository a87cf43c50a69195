package peer

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// inquiry asks an old process how it is. The zero inquiry is ready.
type inquiry struct {
	mu      sync.Mutex
	asked   time.Time     // the question that is open; zero: none
	waiting chan struct{} // closed when it is answered; nil if nobody waits
	answer  json.RawMessage
}

// Report returns what the old process says about itself and those before it, or false if it says nothing
// in time. It takes no longer than wait.
func (p *Old) Report(wait time.Duration) (generations json.RawMessage, ok bool) {
	return p.reports.ask(min(wait, timing.Report), func() error {
		return p.Say(wire.Ask, wire.AskMsg{WaitMillis: wait.Milliseconds()})
	})
}

// ask returns the report, or false if there is none in time. say asks the question.
func (q *inquiry) ask(wait time.Duration, say func() error) (json.RawMessage, bool) {
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
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked, q.answer = time.Time{}, msg.Generations
	if q.waiting != nil {
		close(q.waiting)
		q.waiting = nil
	}
	return nil
}

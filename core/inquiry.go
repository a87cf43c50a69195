package core

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// reportWait is how long the old process may take to report. One of a version that
	// knows no Ask never does.
	reportWait = 500 * time.Millisecond
	// askAgain is how long one question is enough: an old process that stands still must
	// not find many.
	askAgain = 5 * time.Second
)

// inquiry asks an old process how it is. The zero inquiry is ready.
type inquiry struct {
	mu      sync.Mutex
	asked   time.Time     // the question that is open; zero: none
	waiting chan struct{} // closed when it is answered; nil if nobody waits
	answer  []control.Generation
}

// ask returns the report, or false if there is none in time. say asks the question.
func (q *inquiry) ask(wait time.Duration, say func() error) ([]control.Generation, bool) {
	q.mu.Lock()
	if q.waiting == nil {
		q.waiting = make(chan struct{})
	}
	answered := q.waiting
	due := q.asked.IsZero() || time.Since(q.asked) > askAgain
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

// report answers the new process's question. It runs in a goroutine of its own.
func (u *Upgrader) report(next *successor, f wire.Frame) {
	var ask wire.AskMsg
	if f.Decode(&ask) != nil {
		return
	}
	all, err := json.Marshal(u.generations(ask.Wait() * 3 / 4)) // the rest is for the way back
	if err == nil {
		_ = next.say(wire.Report, wire.ReportMsg{Generations: all}, sayWait)
	}
}

// generations describes this process and those before it, newest first. It takes no
// longer than wait.
func (u *Upgrader) generations(wait time.Duration) []control.Generation {
	all := []control.Generation{u.describe()}
	p := u.inherited.parent
	switch {
	case p == nil || !p.alive():
	case p.plain():
		all = append(all, control.Generation{Generation: u.generation - 1, PID: p.pid(), State: stateUnknown})
	default:
		older, ok := p.reports.ask(min(wait, reportWait), func() error {
			return p.say(wire.Ask, wire.AskMsg{WaitMillis: wait.Milliseconds()})
		})
		if !ok || len(older) == 0 {
			older = []control.Generation{{Generation: u.generation - 1, PID: p.pid(), State: stateUnknown}}
		}
		all = append(all, older...)
	}
	return all
}

// stateUnknown is the state of an old process that does not answer.
const stateUnknown = "unknown"

// describe is this process.
func (u *Upgrader) describe() control.Generation {
	l := u.Stats()
	g := control.Generation{
		Generation: l.Generation, PID: l.PID, State: l.State.String(), Version: u.cfg.version, Started: startedAt,
		Requests: l.Open.Requests, Connections: l.Open.Connections, Hijacked: l.Open.Hijacked,
		Idle: len(u.conns.quiet()), Memory: proc.ResidentMemory(),
		Probation: l.State == StateCurrent && u.onProbation(),
	}
	if at := u.phase.deadline.Load(); at != 0 && l.State < StateStopped {
		deadline := time.UnixMilli(at)
		g.Deadline = &deadline
	}
	return g
}

// onProbation reports whether an old process can still take the service back.
func (u *Upgrader) onProbation() bool {
	p := u.inherited.parent
	return p != nil && !p.plain() && isClosed(p.committed) && p.commit.ProbationMillis > 0 && !u.inherited.committed.Load()
}

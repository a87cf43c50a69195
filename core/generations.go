package core

import (
	"encoding/json"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// report answers the new process's question. It runs in a goroutine of its own.
func (u *Upgrader) report(next *peer.Next, f wire.Frame) {
	var ask wire.AskMsg
	if f.Decode(&ask) != nil {
		return
	}
	all, err := json.Marshal(u.generations(ask.Wait() / 4 * 3)) // the rest is for the way back
	if err == nil {
		_ = next.Say(wire.Report, wire.ReportMsg{Generations: all}, timing.Say)
	}
}

// generations describes this process and those before it, newest first. It takes no
// longer than wait.
func (u *Upgrader) generations(wait time.Duration) []control.Generation {
	all := []control.Generation{u.describe()}
	p := u.inherited.old
	switch {
	case p == nil || !p.Alive():
	case p.Plain():
		all = append(all, control.Generation{Generation: u.generation - 1, PID: p.PID(), State: stateUnknown})
	default:
		var older []control.Generation
		report, ok := p.Report(wait)
		if !ok || json.Unmarshal(report, &older) != nil || len(older) == 0 { // or of another version
			older = []control.Generation{{Generation: u.generation - 1, PID: p.PID(), State: stateUnknown}}
		}
		all = append(all, older...)
	}
	return all
}

// stateUnknown is the state of an old process that does not answer.
const stateUnknown = "unknown"

// describe is this process.
func (u *Upgrader) describe() control.Generation {
	l := u.ledger()
	g := control.Generation{
		Generation: l.Generation, PID: l.PID, State: l.State.String(), Version: u.cfg.version, Started: startedAt,
		Requests: l.Open.Requests, Connections: l.Open.Connections, Hijacked: l.Open.Hijacked,
		Idle: len(u.conns.Quiet()), Memory: proc.ResidentMemory(),
		Probation: l.State == StateCurrent && u.onProbation(),
		Listeners: u.controlListeners(),
	}
	if at := u.phase.deadline.Load(); at != 0 && l.State < StateStopped {
		deadline := time.UnixMilli(at)
		g.Deadline = &deadline
	}
	return g
}

// onProbation reports whether an old process can still take the service back.
func (u *Upgrader) onProbation() bool {
	p := u.inherited.old
	return p != nil && !p.Plain() && isClosed(p.Committed) && p.Commit.ProbationMillis > 0 && !u.inherited.committed.Load()
}

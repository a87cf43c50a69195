package core

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// report answers the new process's question. It runs in a goroutine of its own.
func (u *Upgrader) report(next *peer.Next, f wire.Frame) {
	var ask wire.AskMsg
	if f.Decode(&ask) != nil {
		return
	}
	all := u.generations(ask.Wait() / 4 * 3) // the rest is for the way back
	err := sayReport(next, all)
	if errors.Is(err, wire.ErrTooLong) {
		for i := range all {
			all[i].Listeners = nil
		}
		err = sayReport(next, all)
	}
	if err != nil {
		u.log.Debug("the new process gets no report", "new_pid", next.PID(), "error", err)
	}
}

func sayReport(next *peer.Next, all []control.Generation) error {
	b, err := json.Marshal(all)
	if err == nil {
		err = next.Say(wire.Report, wire.ReportMsg{Generations: b}, timing.Say)
	}
	return err
}

// generations describes this process and those before it, newest first. It takes no
// longer than wait.
func (u *Upgrader) generations(wait time.Duration) []control.Generation {
	all := []control.Generation{u.describe()}
	before := u.before()
	reports := make([][]control.Generation, len(before))
	var asking sync.WaitGroup
	for i, p := range before {
		asking.Go(func() { reports[i] = u.ask(p, wait) })
	}
	asking.Wait()
	older := slices.Concat(reports...)
	slices.SortFunc(older, func(a, b control.Generation) int { return cmp.Compare(b.Generation, a.Generation) })
	return append(all, older...)
}

// ask describes a process before this one, and those that it sees to.
func (u *Upgrader) ask(p *peer.Old, wait time.Duration) []control.Generation {
	if !p.Alive() || isClosed(p.Left) {
		return nil
	}
	unknown := []control.Generation{{Generation: p.Generation, PID: p.PID(), State: stateUnknown, Release: releaseName(spawn.ReleaseOfProcess(p.PID()))}}
	if p.Plain() {
		unknown[0].Generation = u.generation - 1
		return unknown
	}
	var all []control.Generation
	report, ok := p.Report(wait)
	if !ok || json.Unmarshal(report, &all) != nil || len(all) == 0 { // or of another version
		return unknown
	}
	return all
}

// releaseName is the name of a release for a report.
func releaseName(name string) string { return text.Cut(name, text.MaxName) }

// stateUnknown is the state of an old process that does not answer.
const stateUnknown = "unknown"

// describe is this process.
func (u *Upgrader) describe() control.Generation {
	l := u.ledger()
	g := control.Generation{
		Generation: l.Generation, PID: l.PID, State: l.State.String(), Version: u.cfg.version, Release: u.ownRelease, Started: startedAt,
		Requests: l.Open.Requests, Connections: l.Open.Connections, Hijacked: l.Open.Hijacked,
		Idle: len(u.conns.Quiet()), Memory: proc.ResidentMemory(),
		Moved: l.Moved, MovedHTTP2: l.MovedHTTP2, StayedHTTP2: l.StayedHTTP2.total(), MovedTLS: l.MovedTLS, StayedTLS: l.StayedTLS.total(),
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

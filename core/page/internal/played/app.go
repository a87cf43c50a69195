// Package played plays an app for the tests of the page: it counts requests that nobody sends, and upgrades to processes
// that do not exist.
package played

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// Next is the next upgrade.
type Next struct {
	Version   string
	Probation time.Duration
	Drain     time.Duration    // how long the old process drains
	Fails     *control.Outcome // what becomes of it instead: Kind, Reason, Stderr and Exit
}

// App is an app that is played. It implements page.Source.
type App struct {
	Program string
	Rate    float64       // requests a second
	Took    time.Duration // by each of them

	mu        sync.Mutex
	next      Next
	at        time.Time // until when requests are counted
	rest      float64   // of a request
	since     time.Time
	gone      bool
	measured  time.Time  // until when durations are
	processes []*process // newest first
	ended     control.Counts
	success   time.Time
	failure   time.Time
	last      *control.LastUpgrade
	events    []control.Event
	news      chan struct{} // closed when there is one
	verdict   chan error    // of the probation; nil without one
	asked     []string
}

// process is one that does not exist.
type process struct{ control.Account }

// New returns an app with one process, and this many connections.
func New(version string, connections int) *App {
	now := time.Now()
	a := &App{Program: "/srv/shop/current/shop", Rate: 2000, Took: 2900 * time.Microsecond, at: now, since: now, news: make(chan struct{})}
	a.start(version, "current")
	a.processes[0].Open.Connections = connections
	a.processes[0].Counts.Servers = []control.ServerCounts{{Server: "public", Accepted: uint64(connections)}}
	a.tellLocked(control.Event{Step: control.StepServing, PID: a.processes[0].PID, Text: "the process accepts"}, a.processes[0])
	return a
}

// Plan says what the next upgrade is.
func (a *App) Plan(n Next) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = n
}

// Gone makes the app one that does not answer, or does again.
func (a *App) Gone(gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = gone
}

// Asked returns the actions that it was asked for.
func (a *App) Asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

func (a *App) start(version, state string) *process {
	p := &process{Account: control.Account{
		PID: 4711 + 13*len(a.events), Version: version, State: state, Started: time.Now(), Told: time.Now(),
	}}
	if len(a.processes) > 0 {
		p.Generation = a.processes[0].Generation + 1
	}
	a.processes = slices.Insert(a.processes, 0, p)
	return p
}

func (a *App) tellLocked(e control.Event, by *process) {
	e.Time = time.Now()
	e.ID = fmt.Sprintf("%032x", len(a.events)+1)
	e.By, e.Generation, e.Version = by.PID, by.Generation, by.Version
	a.events = append(a.events, e)
	close(a.news)
	a.news = make(chan struct{})
}

var bounds = []float64{0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.021, 0.034, 0.055}

// countLocked counts what has come since the last time.
func (a *App) countLocked() {
	now := time.Now()
	a.rest += a.Rate * now.Sub(a.at).Seconds()
	a.at = now
	n := uint64(a.rest)
	a.rest -= float64(n)
	for _, p := range a.processes {
		p.Told = now
		if p.State != "current" && p.State != "probation new" {
			continue
		}
		p.Counts.Servers = slices.Clone(p.Counts.Servers)
		if len(p.Counts.Servers) == 0 {
			p.Counts.Servers = []control.ServerCounts{{Server: "public"}}
		}
		p.Counts.Servers[0].Requests += n
		p.Open.Requests = min(int(n), p.Open.Connections)
		if now.Before(a.measured) {
			h := p.Counts.RequestSeconds.Plus(control.Histogram{})
			for i := range min(n, 500) {
				took := a.Took
				if i%40 == 0 {
					took *= 6
				}
				h.Observe(took, bounds)
			}
			p.Counts.RequestSeconds = h
			p.Counts.RequestErrors += n / 1000
		}
		return
	}
}

func (a *App) answers(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if a.gone {
		return fmt.Errorf("/run/gracex/shop.sock: %w", control.ErrStale)
	}
	return nil
}

// Status is that of control.Client.
func (a *App) Status(ctx context.Context) (control.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.answers(ctx); err != nil {
		return control.Status{}, err
	}
	s := control.Status{Protocol: control.Protocol, Program: a.Program, PIDFile: "/run/shop/shop.pid", LastUpgrade: a.last}
	for _, p := range a.processes {
		state, probation := p.State, p.State == "probation new"
		if probation {
			state = "current"
		}
		if s.PID == 0 && (state == "current" || state == "upgrading") {
			s.PID, s.Version = p.PID, p.Version
		}
		s.Generations = append(s.Generations, control.Generation{
			Generation: p.Generation, PID: p.PID, State: state, Probation: probation, Version: p.Version, Release: p.Version,
			Started: p.Started, Requests: p.Open.Requests, Connections: p.Open.Connections, Idle: p.Open.Connections - p.Open.Requests,
			Memory: 31 << 20, Listeners: []control.Listener{{Name: "public", Network: "tcp", Address: "0.0.0.0:8080"}},
		})
	}
	return s, nil
}

// Totals is that of control.Client.
func (a *App) Totals(ctx context.Context, measure time.Duration) (control.Totals, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.answers(ctx); err != nil {
		return control.Totals{}, err
	}
	a.countLocked()
	if measure > 0 {
		a.measured = time.Now().Add(measure)
	}
	t := control.Totals{Since: a.since, Total: a.ended, Ended: a.ended, LastSuccess: a.success, LastFailure: a.failure}
	for _, p := range a.processes {
		account := p.Account
		if account.State == "probation new" {
			account.State = "current"
		}
		t.Processes = append(t.Processes, account)
		t.Total = t.Total.Plus(account.Counts)
	}
	return t, nil
}

// Events is that of control.Client.
func (a *App) Events(ctx context.Context, since time.Time, f func(control.Event)) error {
	for told := 0; ; {
		a.mu.Lock()
		if err := a.answers(ctx); err != nil {
			a.mu.Unlock()
			return err
		}
		fresh, news := slices.Clone(a.events[told:]), a.news
		told = len(a.events)
		a.mu.Unlock()
		for _, e := range fresh {
			if !e.Time.Before(since) {
				f(e)
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop is that of control.Client.
func (a *App) Stop(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, "stop")
	a.gone = true
	return nil
}

// Promote is that of control.Client.
func (a *App) Promote(context.Context) error { return a.judge("promote", nil) }

// Rollback is that of control.Client.
func (a *App) Rollback(_ context.Context, reason string) error {
	return a.judge("rollback "+reason, errors.New("an operator has asked for it: "+reason))
}

func (a *App) judge(action string, verdict error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, action)
	if a.verdict == nil {
		return fmt.Errorf("%w: no upgrade is on probation", control.ErrRefused)
	}
	a.verdict <- verdict
	a.verdict = nil
	return nil
}

// Upgrade is that of control.Client. It does what was planned.
func (a *App) Upgrade(context.Context, control.UpgradeOptions) (control.Outcome, error) {
	a.mu.Lock()
	a.asked = append(a.asked, "upgrade")
	n, old := a.next, a.processes[0]
	began := time.Now()
	attempt := fmt.Sprintf("%032x", began.UnixNano())
	tell := func(by *process, step string, pid int, text string, more ...func(*control.Event)) {
		e := control.Event{Step: step, PID: pid, Text: text, Attempt: attempt}
		for _, f := range more {
			f(&e)
		}
		a.tellLocked(e, by)
	}
	a.countLocked()
	old.State = "upgrading"
	tell(old, control.StepBegun, 0, "an upgrade begins")
	p := a.start(n.Version, "starting")
	tell(old, control.StepStarted, p.PID, "the new process runs")
	tell(p, control.StepStarting, p.PID, "the process has begun")
	a.pause(300 * time.Millisecond)
	o := control.Outcome{
		Kind: control.KindUpgraded, OK: true, OldPID: old.PID, NewPID: p.PID, OldGeneration: old.Generation, Generation: p.Generation,
		OldVersion: old.Version, Version: n.Version,
	}
	if f := n.Fails; f != nil && f.Kind == control.KindFailed {
		o.Kind, o.OK, o.Reason, o.Stderr, o.Exit, o.Warnings = f.Kind, false, f.Reason, f.Stderr, f.Exit, f.Warnings
		tell(old, control.StepFailed, p.PID, f.Reason)
		return a.conclude(o, old, p, began, attempt), nil
	}
	tell(p, control.StepSaidReady, p.PID, "the ready checks have passed")
	tell(old, control.StepReady, p.PID, "the new process is ready")
	a.countLocked()
	old.State, p.State = "probation", "probation new"
	a.move(old, p, old.Open.Connections/10)
	tell(p, control.StepServing, p.PID, "the process accepts")
	tell(old, control.StepProbation, p.PID, "the new process accepts, and the old one can still serve again",
		func(e *control.Event) { e.Probation = n.Probation })
	verdict := make(chan error, 1)
	a.verdict = verdict
	a.mu.Unlock()
	var bad error
	select {
	case bad = <-verdict:
	case <-time.After(n.Probation):
		if f := n.Fails; f != nil {
			bad = errors.New(f.Reason)
			o.Stderr, o.Exit, o.Warnings = f.Stderr, f.Exit, f.Warnings
		}
	}
	a.mu.Lock()
	a.verdict = nil
	a.countLocked()
	if bad != nil {
		o.Kind, o.OK, o.Reason = control.KindRolledBack, false, bad.Error()
		a.move(p, old, p.Open.Connections)
		tell(old, control.StepRolledBack, p.PID, bad.Error())
		return a.conclude(o, old, p, began, attempt), nil
	}
	old.State, p.State = "draining", "current"
	a.last = &control.LastUpgrade{At: time.Now(), Outcome: o}
	tell(old, control.StepConfirmed, p.PID, "the new process goes on by itself")
	o = a.conclude(o, old, p, began, attempt)
	go a.drain(old, p, n.Drain, tell)
	return o, nil
}

// pause lets others go on for a while.
func (a *App) pause(d time.Duration) {
	a.mu.Unlock()
	time.Sleep(d)
	a.mu.Lock()
}

// conclude ends an upgrade, and gives the lock back.
func (a *App) conclude(o control.Outcome, old, p *process, began time.Time, attempt string) control.Outcome {
	defer a.mu.Unlock()
	o.Took = time.Since(began)
	old.Counts.Upgrades = append(slices.Clone(old.Counts.Upgrades), control.UpgradeCounts{Outcome: o.Kind, Count: 1})
	h := old.Counts.UpgradeSeconds.Plus(control.Histogram{})
	h.Observe(o.Took, []float64{0.5, 1, 2.5, 5, 10})
	old.Counts.UpgradeSeconds = h
	if !o.OK {
		o.Generation = old.Generation
		a.failure, old.State = time.Now(), "current"
		a.end(p)
	} else {
		a.success = time.Now()
	}
	a.last = &control.LastUpgrade{At: time.Now(), Outcome: o}
	outcome := o
	a.tellLocked(control.Event{Step: control.StepConcluded, PID: o.NewPID, Text: o.Kind, Attempt: attempt, Outcome: &outcome}, old)
	return o
}

// move moves connections.
func (a *App) move(from, to *process, n int) {
	from.Open.Connections -= n
	to.Open.Connections += n
	var moved []control.MovedCounts
	if len(from.Counts.Moved) == 0 {
		moved = []control.MovedCounts{{Protocol: control.ProtocolHTTP1}}
	} else {
		moved = slices.Clone(from.Counts.Moved)
	}
	moved[0].Connections += uint64(n)
	from.Counts.Moved = moved
}

// drain moves what is left, and ends the old process.
func (a *App) drain(old, p *process, lasts time.Duration, tell func(*process, string, int, string, ...func(*control.Event))) {
	const parts = 5
	a.mu.Lock()
	defer a.mu.Unlock()
	total := old.Open.Connections
	tell(old, control.StepDraining, old.PID, "the old process finishes its work", func(e *control.Event) { e.Total, e.Remaining = total, total })
	for i := range parts {
		a.move(old, p, old.Open.Connections/(parts-i))
		a.pause(lasts / parts)
	}
	tell(old, control.StepMoved, old.PID, "no more connections move", func(e *control.Event) { e.Total = total })
	tell(old, control.StepDrained, old.PID, "the old process has finished")
	a.end(old)
}

func (a *App) end(p *process) {
	a.ended = a.ended.Plus(p.Counts)
	a.processes = slices.DeleteFunc(a.processes, func(q *process) bool { return q == p })
}

package release

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// mostLate is how often a program can be not ready in time until it is bad. Once, a database may have been away.
const mostLate = 2

// ErrNoApp means that no app runs, so that a release can't be tried. [Store.Install] is for that.
var ErrNoApp = fmt.Errorf("%w: no app runs", ErrNotTried)

// Try has the app that runs upgrade itself to a release. Only when the release has passed its probation is it current,
// so that a crash or a boot meanwhile starts what was current before. One that is bad on probation, or fails before it
// is ready, is never tried again by itself.
//
// The error is nil if the outcome is known, even if that is not OK. It wraps ErrNoApp if nothing runs. If ctx ends, the
// upgrade goes on in the app, and Recover tells later what came of it. A release that runs already, and is current, is
// not started again: the outcome is OK and has no new process. events may be nil.
func (s *Store) Try(ctx context.Context, c *control.Client, r Release, events func(Event)) (control.Outcome, error) {
	t := s.trial(events, "deploy", r)
	o, err := t.try(ctx, s.appOf(c))
	return o, printableError(err)
}

// Back has the app upgrade itself to the good release before the current one. It can be called again for the one before
// that. Followers are held then, until a release comes that is newer than all so far, or until Unhold. The release that
// was left is not bad: a deploy by hand can use it.
//
// The errors are those of Try. Without a good release before the error wraps ErrNotAccepted.
func (s *Store) Back(ctx context.Context, c *control.Client, events func(Event)) (control.Outcome, error) {
	r, err := s.before()
	if err != nil {
		return control.Outcome{}, printableError(err)
	}
	t := s.trial(events, "back", r)
	t.back = true
	o, err := t.try(ctx, s.appOf(c))
	return o, printableError(err)
}

// before returns the good release before the current one.
func (s *Store) before() (Release, error) {
	st, err := s.State()
	if err != nil {
		return Release{}, err
	}
	current := s.Current()
	at := slices.Index(st.Good, current)
	if at < 0 {
		at = len(st.Good)
	}
	for _, id := range slices.Backward(st.Good[:at]) {
		if r, ok := s.proven(st, id); ok {
			return r, nil
		}
	}
	return Release{}, refuse("there is no good release before %s", current)
}

// proven returns a release of those that were good, if it still is: there, what it was, and not bad by now.
func (s *Store) proven(st State, id string) (Release, bool) {
	r, err := s.staged(id)
	if err != nil { // pruned by hand
		return r, false
	}
	if _, bad := st.bad(r.SHA256, r.Packed); bad {
		return r, false
	}
	sum, _, err := s.hash(filepath.Join(releasesDir, id, s.program))
	return r, err == nil && sum == r.SHA256
}

// Install has the next start get a release without a trial. It is for a service that does not run, at first, or after
// all else has failed. It refuses if an app answers, with an error that wraps ErrNotTried. c may be nil.
func (s *Store) Install(ctx context.Context, c *control.Client, r Release, events func(Event)) error {
	return printableError(s.install(ctx, s.appOf(c), r, events))
}

func (s *Store) install(ctx context.Context, a app, r Release, events func(Event)) error {
	if a != nil {
		if st, err := a.status(ctx); err == nil {
			return notNow("the app runs as process %d: deploy without an install, so that it is upgraded", st.pid)
		} else if !noApp(err) {
			return err
		}
	}
	t := s.trial(events, "install", r)
	if err := t.whole(); err != nil {
		return err
	}
	st, err := s.State()
	if err != nil {
		return err
	}
	if st.Trial != nil {
		return errUnrecovered(st)
	}
	st.Trial = &Trial{Release: r, From: t.from, Since: s.now().UTC(), Passed: true}
	st.passed(*st.Trial)
	if err := s.save(st); err != nil {
		return err
	}
	step("good")
	return t.makeCurrent(st, "installed without a trial: no app runs")
}

// trial is a release on its way from releases/ to current.
type trial struct {
	*Store
	r      Release
	from   string // what is current
	action string
	back   bool
	events func(Event)
	began  time.Time
}

func (s *Store) trial(events func(Event), action string, r Release) *trial {
	return &trial{Store: s, r: r, from: s.Current(), action: action, events: events, began: s.now()}
}

func (t *trial) tell(e Event) { t.Store.tell(t.events, t.r.ID, e) }

func (t *trial) record(e Entry) {
	e.Action, e.Release, e.SHA256, e.From, e.Source, e.Took = t.action, t.r.ID, t.r.SHA256, t.from, t.r.Source, t.now().Sub(t.began).Milliseconds()
	t.Store.record(t.events, e)
}

func (t *trial) try(ctx context.Context, a app) (o control.Outcome, err error) {
	if a == nil {
		return o, ErrNoApp
	}
	if err := t.whole(); err != nil {
		return o, err
	}
	st, err := t.State()
	if err != nil {
		return o, err
	}
	if st.Trial != nil {
		return o, errUnrecovered(st)
	}
	runs, err := a.status(ctx)
	switch {
	case err != nil && noApp(err):
		return o, fmt.Errorf("%w: %w", ErrNoApp, err)
	case err != nil:
		return o, err
	case runs.release == t.r.ID && t.from == t.r.ID && !runs.settling:
		t.tell(Event{Kind: EventUnchanged, Text: fmt.Sprintf("process %d runs it already", runs.pid)})
		if t.r.Serial > st.Serial { // published again
			st.Serial = t.r.Serial
			if err := t.save(st); err != nil {
				return o, err
			}
		}
		return control.Outcome{OK: true, Kind: control.KindUpgraded, OldPID: runs.pid}, nil
	case runs.elsewhere != "":
		return o, notNow("the app is started as %s, and not from %s", runs.elsewhere, t.dir)
	case t.from == "":
		return o, notNow("%s leads to no release of this store, so the app was not started from it: adopt its program first", t.at(currentLink))
	}
	st.Trial = &Trial{Release: t.r, From: t.from, Since: t.now().UTC(), Back: t.back}
	if err := t.save(st); err != nil {
		return o, err
	}
	step("trial")
	t.tell(Event{Kind: EventTrying, Text: fmt.Sprintf("process %d is asked", runs.pid)})
	step("asked")
	var p probation
	o, err = a.upgradeTo(ctx, t.r.ID, func(e control.Event) {
		p.step(e)
		t.tell(Event{Kind: EventStep, Step: &e})
		step(e.Step)
	})
	switch {
	case o.OK && p.wasCut():
		// A crash starts what has passed before. What runs when the next one asks has lived through more than that.
		return control.Outcome{}, notNow("process %d was asked to stop during the probation of %s, so that is not over: %s stays current until the next deploy, or a recovery, finds %s running",
			runs.pid, t.r.ID, t.from, t.r.ID)
	case o.Kind != "":
		return o, t.conclude(st, o)
	case ctx.Err() != nil:
		return o, fmt.Errorf("the upgrade to %s goes on in the app, and %s stays current until it is over and a recovery has looked: %w", t.r.ID, t.from, err)
	case wasNotAsked(err):
		return o, errors.Join(notNow("%w", err), t.drop(st, control.KindRefused, err.Error()))
	}
	// The process that was asked is gone. What runs now says what came of it.
	rec, rerr := t.recover(ctx, a, t.events)
	if rerr == nil && rec.Passed {
		return control.Outcome{OK: true, Kind: control.KindUpgraded, OldPID: runs.pid}, nil
	}
	return o, errors.Join(err, rerr)
}

// probation is that of a release on trial. An old process that is asked to stop leaves the service to the new one at
// once, as if its probation were over.
type probation struct {
	lasts        time.Duration // 0: there is none
	began, ended control.Event
	heard        time.Time // when its begin was
	took         time.Duration
}

func (p *probation) step(e control.Event) {
	switch e.Step {
	case control.StepProbation:
		p.lasts, p.began, p.heard = e.Probation, e, time.Now()
	case control.StepConfirmed:
		p.ended, p.took = e, time.Since(p.heard)
	}
}

// wasCut goes by the times of the app, and by those at which it was heard: a clock can be set, and this process can have
// stood still.
func (p *probation) wasCut() bool {
	least := p.lasts - p.lasts/10
	return p.ended.Step != "" && p.took < least && p.ended.Time.Sub(p.began.Time) < least
}

func errUnrecovered(st State) error {
	return notNow("the deploy of %s was cut short: recover first", st.Trial.Release.ID)
}

// wasNotAsked reports whether an error means that no upgrade was begun.
func wasNotAsked(err error) bool {
	for _, is := range []error{control.ErrRefused, control.ErrNotFound, control.ErrStale, control.ErrPermission, control.ErrUntrusted, control.ErrVersion,
		control.ErrNoRelease} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// whole refuses a release that is not there, or is not what it was.
func (t *trial) whole() error {
	r, err := t.staged(t.r.ID)
	if err != nil {
		return err
	}
	if r.SHA256 != t.r.SHA256 {
		return refuse("%s is another release than that which is to be tried", t.r.ID)
	}
	if sum, _, err := t.hash(filepath.Join(releasesDir, t.r.ID, t.program)); err != nil || sum != r.SHA256 {
		return notNow("the program of %s is not what it was; stage it again", t.r.ID)
	}
	return nil
}

// conclude records what became of an upgrade.
func (t *trial) conclude(st State, o control.Outcome) error {
	if o.OK {
		st.Trial.Passed = true
		st.passed(*st.Trial)
		if t.back {
			st.leave(t.from, t.now(), who())
		}
		if err := t.save(st); err != nil {
			return err
		}
		step("good")
		return t.makeCurrent(st, "")
	}
	reason := o.Reason
	switch {
	case o.Kind == control.KindRefused, o.NewPID == 0:
		return t.drop(st, o.Kind, reason) // nothing was started: the surroundings, and no verdict
	case o.Kind == control.KindTimedOut:
		if st.Late[t.r.SHA256]++; st.Late[t.r.SHA256] < mostLate {
			return t.drop(st, o.Kind, reason)
		}
	}
	st.condemn(t.r, o.Kind+": "+reason, t.now())
	st.Trial = nil
	if err := t.save(st); err != nil {
		return err
	}
	step("recorded")
	t.tell(Event{Kind: EventBad, Text: reason})
	t.record(Entry{Outcome: o.Kind, Bad: true, Text: reason})
	return nil
}

// drop ends a trial without a verdict.
func (t *trial) drop(st State, kind, reason string) error {
	st.Trial = nil
	if err := t.save(st); err != nil {
		return err
	}
	step("recorded")
	t.record(Entry{Outcome: kind, Text: reason})
	return nil
}

// makeCurrent is the end of a trial that has passed: the state says so already, so that whoever comes later goes on
// from here.
func (t *trial) makeCurrent(st State, text string) error {
	if err := t.flip(t.r.ID); err != nil {
		return err
	}
	step("current")
	st.Trial = nil
	if err := t.save(st); err != nil {
		return err
	}
	step("recorded")
	t.tell(Event{Kind: EventCurrent, Text: text})
	t.record(Entry{Outcome: outcomeCurrent, Text: text})
	return nil
}

// passed notes a release as good. The way back from it leads to what was current before.
func (st *State) passed(t Trial) {
	id := t.Release.ID
	is := func(id string) func(string) bool { return func(g string) bool { return g == id } }
	if !t.Back { // the way back stays in its order
		st.Good = slices.DeleteFunc(st.Good, is(id))
		if t.From != "" && t.From != id && slices.Contains(st.Good, t.From) {
			st.Good = append(slices.DeleteFunc(st.Good, is(t.From)), t.From)
		}
		st.Good = append(st.Good, id)
	}
	st.Left = slices.DeleteFunc(st.Left, is(id))
	st.Serial = max(st.Serial, t.Release.Serial) // only now: a bad release must not lock out the last good one
	delete(st.Bad, t.Release.SHA256)
	delete(st.Bad, t.Release.Packed)
	delete(st.Late, t.Release.SHA256)
	if st.Hold != nil && st.Hold.Serial > 0 && t.Release.Serial > st.Hold.Serial {
		st.Hold = nil
	}
}

// leave notes that Back has left a release, and holds followers up to the newest one so far.
func (st *State) leave(id string, now time.Time, by string) {
	st.Good = slices.DeleteFunc(st.Good, func(g string) bool { return g == id })
	st.Left = append(slices.DeleteFunc(st.Left, func(l string) bool { return l == id }), id)
	if st.Hold == nil || st.Hold.Serial > 0 {
		st.Hold = &Hold{Reason: "back from " + id, Who: by, Since: now.UTC(), Serial: max(st.Serial, 1)}
	}
}

// condemn notes that a program is bad.
func (st *State) condemn(r Release, reason string, now time.Time) {
	b := Bad{Release: r.ID, Reason: printable(reason), Since: now.UTC()}
	st.Bad[r.SHA256] = b
	if r.Packed != "" {
		st.Bad[r.Packed] = b
	}
	delete(st.Late, r.SHA256)
	st.Good = slices.DeleteFunc(st.Good, func(g string) bool { return g == r.ID })
}

// Condemn marks a release as bad that has passed its probation, for whoever watches longer than that: the next start
// gets a good one before it, without a trial. It is for a supervisor whose app has crashed again and again
// (supervise.Config.WentBack), and no app has to run. The release to go back to is good, if that was good and is still
// there, and else, or if good is empty, the one before. Followers are not held: a bad release is not tried again, and a
// later one can be better.
//
// It returns the release that is current then. Without a good one before nothing is changed, and the error wraps
// ErrNotAccepted. If bad is not current it wraps ErrNotTried.
func (s *Store) Condemn(bad, good, reason string, events func(Event)) (Release, error) {
	r, err := s.condemn(bad, good, reason, events)
	return r, printableError(err)
}

func (s *Store) condemn(id, to, reason string, events func(Event)) (Release, error) {
	bad, err := s.staged(id)
	if err != nil {
		return Release{}, err
	}
	if s.Current() != id {
		return Release{}, notNow("%s is not current", id)
	}
	st, err := s.State()
	if err != nil {
		return Release{}, err
	}
	good, ok := Release{}, false
	if to != id && slices.Contains(st.Good, to) {
		good, ok = s.proven(st, to)
	}
	if !ok {
		if good, err = s.before(); err != nil {
			return Release{}, err
		}
	}
	st.condemn(bad, reason, s.now())
	st.Trial = &Trial{Release: good, From: id, Since: s.now().UTC(), Passed: true, Back: true}
	if err := s.save(st); err != nil {
		return Release{}, err
	}
	step("good")
	s.tell(events, id, Event{Kind: EventBad, Text: reason})
	s.record(events, Entry{Action: "condemn", Release: id, SHA256: bad.SHA256, Outcome: "bad", Bad: true, Text: reason})
	return good, s.trial(events, "condemn", good).makeCurrent(st, "the good release before "+id)
}

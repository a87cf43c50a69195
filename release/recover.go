package release

import (
	"context"
	"fmt"
	"slices"

	"github.com/gracex-go/gracex/core/control"
)

// Recovery is what Recover has found.
type Recovery struct {
	Release string `json:"release,omitempty"` // that was on trial; empty: no deploy was cut short
	Passed  bool   `json:"passed,omitempty"`  // it has passed its probation, and is current now
	Current string `json:"current,omitempty"` // what the next start gets
}

// Recover puts in order what a deploy has left that was killed. What is current is a good release in any case, so that
// nothing has to be recovered before a start. It waits until an upgrade that is in progress is over, or ctx ends. A
// release that runs then has passed its probation, because nothing but an upgrade can have started it, and becomes
// current. If the app remembers that it was bad, it is. Else the trial is dropped without a verdict. c is nil, or nobody
// answers, if no app runs.
//
// A deploy calls it first. events may be nil.
func (s *Store) Recover(ctx context.Context, c *control.Client, events func(Event)) (Recovery, error) {
	r, err := s.recover(ctx, s.appOf(c), events)
	return r, printableError(err)
}

func (s *Store) recover(ctx context.Context, a app, events func(Event)) (Recovery, error) {
	s.clean()
	rec := Recovery{Current: s.Current()}
	st, err := s.State()
	if err != nil || st.Trial == nil {
		return rec, err
	}
	rec.Release = st.Trial.Release.ID
	t := s.trial(events, "recover", st.Trial.Release)
	t.back, t.from = st.Trial.Back, st.Trial.From
	if !st.Trial.Passed && a != nil {
		runs, err := untilSettled(ctx, a, s.poll)
		switch {
		case err != nil && !noApp(err):
			return rec, err
		case err == nil && runs.release == t.r.ID:
			st.Trial.Passed = true
			st.passed(*st.Trial)
			if t.back {
				st.leave(t.from, s.now(), who())
			}
			if err := s.save(st); err != nil {
				return rec, err
			}
			step("good")
		case err == nil && runs.last.release == t.r.ID && runs.last.at.After(st.Trial.Since):
			// Nobody has seen it, but the app remembers, so that it is not tried again.
			if err := t.conclude(st, runs.last.outcome); err != nil {
				return rec, err
			}
			s.tell(events, t.r.ID, Event{Kind: EventRecovered, Text: fmt.Sprintf("its deploy was cut short, and it was not good; %s is what the next start gets", rec.Current)})
			return rec, nil
		}
	}
	if _, there := s.proven(st, t.r.ID); st.Trial.Passed && !there { // somebody has removed it: the next deploy must go on
		st.Trial.Passed = false
		st.Good = slices.DeleteFunc(st.Good, func(id string) bool { return id == t.r.ID })
	}
	if !st.Trial.Passed {
		if err := t.drop(st, "cut short", "nobody has seen what became of it, or it is not there any more"); err != nil {
			return rec, err
		}
		s.tell(events, t.r.ID, Event{Kind: EventRecovered, Text: fmt.Sprintf("its deploy was cut short; %s is what the next start gets", rec.Current)})
		return rec, nil
	}
	rec.Passed, rec.Current = true, t.r.ID
	s.tell(events, t.r.ID, Event{Kind: EventRecovered, Text: "its deploy was cut short, and it has passed its probation"})
	return rec, t.makeCurrent(st, "it had passed its probation when its deploy was cut short")
}

// Hold stops followers until Unhold.
func (s *Store) Hold(reason string) error {
	return printableError(s.setHold(&Hold{Reason: printable(reason), Who: who(), Since: s.now().UTC()}, "hold", reason))
}

// Unhold has followers go on. Without a hold it does nothing.
func (s *Store) Unhold() error { return printableError(s.setHold(nil, "unhold", "")) }

func (s *Store) setHold(h *Hold, action, text string) error {
	st, err := s.State()
	if err != nil || st.Hold == nil && h == nil {
		return err
	}
	st.Hold = h
	if err := s.save(st); err != nil {
		return err
	}
	return s.note(Entry{Action: action, Outcome: "done", Text: text})
}

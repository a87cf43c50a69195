//go:build linux

package release

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// runningIn returns a store whose release 1.0.0 is current, and runs in the app.
func runningIn(t testing.TB, a *fakeApp) (*Store, Release) {
	t.Helper()
	s := newStore(t)
	s.poll = 1
	r := staged(t, s, of(t, shop(t, "good", 1), "1.0.0", 1))
	must.Do(t, s.Install(t.Context(), nil, r, nil))
	a.set(r.ID)
	return s, r
}

func try(t testing.TB, s *Store, a app, r Release) (control.Outcome, error) {
	t.Helper()
	return s.trial(nil, "deploy", r).try(t.Context(), a)
}

func state(t testing.TB, s *Store) State {
	t.Helper()
	return must.Get(s.State())(t)
}

func TestTry_Outcomes(t *testing.T) {
	program := shop(t, "good", 2)
	for name, c := range map[string]struct {
		kind string
		bad  bool
	}{
		"good": {control.KindUpgraded, false}, "refused": {control.KindRefused, false}, "failed": {control.KindFailed, true},
		"rolled back": {control.KindRolledBack, true}, "late": {control.KindTimedOut, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := idOf("1.1.0", sum(program))
			a := bad(c.kind, id)
			if name == "good" {
				a.does = nil
			}
			s, first := runningIn(t, a)
			src := of(t, program, "1.1.0", 2)
			r := staged(t, s, src)
			o, err := try(t, s, a, r)
			must.Do(t, err)
			st := state(t, s)
			if o.Kind != c.kind || st.Trial != nil {
				t.Errorf("%+v, then %+v", o, st)
			}
			entry := must.Get(s.History(1))(t)[0]
			if name == "good" {
				if s.Current() != r.ID || !slices.Equal(st.Good, []string{first.ID, r.ID}) || st.Serial != 2 || entry.Outcome != "current" || entry.From != first.ID {
					t.Errorf("%q is current of %+v, %+v", s.Current(), st, entry)
				}
				r.Serial = 3
				if o, err := try(t, s, a, r); err != nil || !o.OK || o.NewPID != 0 || len(a.asked) != 1 || state(t, s).Serial != 3 {
					t.Errorf("once more: %+v %v", o, err)
				}
				return
			}
			_, isBad := st.Bad[r.SHA256]
			if s.Current() != first.ID || !slices.Equal(st.Good, []string{first.ID}) || st.Serial != 1 || isBad != c.bad || entry.Outcome != c.kind || entry.Bad != c.bad ||
				entry.Text != `it said\x1b[2J no` {
				t.Errorf("%q is current of %+v, %+v", s.Current(), st, entry)
			}
			if name == "late" { // once, a database may have been away
				must.Get(try(t, s, a, r))(t)
				if _, isBad := state(t, s).Bad[r.SHA256]; !isBad {
					t.Error("late for the second time it is not bad")
				}
				c.bad = true
			}
			_, err = s.Stage(t.Context(), src, trust(), StageOptions{}, nil)
			if c.bad != errors.Is(err, ErrNotAccepted) {
				t.Errorf("offered again: %v", err)
			}
		})
	}
}

func TestTry_Refuses(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	r := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
	before := must.Get(os.ReadFile(s.at(stateFile)))(t)
	_, err := try(t, s, nil, r)
	wants(t, err, ErrNoApp, "")
	must.Do(t, replaceLink(s.root, "releases/by-hand", currentLink))
	_, err = try(t, s, a, r)
	wants(t, err, ErrNotTried, "leads to no release of this store")
	must.Do(t, s.flip(first.ID))
	a.set("")
	_, err = try(t, s, a, r)
	wants(t, err, ErrNoApp, "")
	a.set(first.ID)
	_, err = try(t, s, a, Release{ID: "1.1.0-00000000", SHA256: zeros})
	if err == nil || len(a.asked) > 0 {
		t.Errorf("one that is not there: %v", err)
	}
	other := r
	other.SHA256 = zeros
	_, err = try(t, s, a, other)
	wants(t, err, ErrNotAccepted, "another release")
	must.Do(t, os.Chmod(s.at(releasesDir, r.ID, "shop"), 0o755))
	must.Do(t, os.WriteFile(s.at(releasesDir, r.ID, "shop"), []byte("broken"), 0o755))
	_, err = try(t, s, a, r)
	wants(t, err, ErrNotTried, "not what it was")
	if after := must.Get(os.ReadFile(s.at(stateFile)))(t); string(after) != string(before) || s.Current() != first.ID || len(a.asked) > 0 {
		t.Errorf("something was changed: %s", after)
	}
}

// TestTry_ProcessGone: the process that was asked ends without an outcome, and what runs then tells.
func TestTry_ProcessGone(t *testing.T) {
	for _, good := range []bool{true, false} {
		a := &fakeApp{}
		s, first := runningIn(t, a)
		r := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
		if !good {
			a = bad(control.KindRolledBack, r.ID)
			a.set(first.ID)
		}
		a.lost = true
		o, err := try(t, s, a, r)
		if good != (err == nil && o.OK && s.Current() == r.ID) || state(t, s).Trial != nil {
			t.Errorf("good %v: %+v %v, %+v", good, o, err, state(t, s))
		}
	}
}

// TestTry_Interrupted: the upgrade goes on in the app. Until somebody looks, current is what it was.
func TestTry_Interrupted(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	r := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.trial(nil, "deploy", r).try(ctx, interrupted{a, cancel})
	if !errors.Is(err, context.Canceled) || s.Current() != first.ID || state(t, s).Trial == nil {
		t.Fatalf("%v, %q is current of %+v", err, s.Current(), state(t, s))
	}
	_, err = try(t, s, a, r)
	wants(t, err, ErrNotTried, "recover first")
	wants(t, s.install(t.Context(), nil, first, nil), ErrNotTried, "recover first")
	rec, err := s.recover(t.Context(), a, nil)
	if err != nil || !rec.Passed || rec.Current != r.ID || s.Current() != r.ID {
		t.Errorf("%+v %v", rec, err)
	}
}

type interrupted struct {
	*fakeApp
	cancel func()
}

func (i interrupted) upgradeTo(ctx context.Context, release string, events func(control.Event)) (control.Outcome, error) {
	i.cancel()
	_, _ = i.fakeApp.upgradeTo(ctx, release, events)
	return control.Outcome{}, ctx.Err()
}

func back(t testing.TB, s *Store, a app) error {
	t.Helper()
	r, err := s.before()
	if err != nil {
		return err
	}
	b := s.trial(nil, "back", r)
	b.back = true
	_, err = b.try(t.Context(), a)
	return err
}

// TestBack goes from the newest of four to the oldest, each time to the one that was before.
func TestBack(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	ids := []string{first.ID}
	deploy := func(build int, version string, serial int64) string {
		r := staged(t, s, of(t, shop(t, "good", build), version, serial))
		must.Get(try(t, s, a, r))(t)
		return r.ID
	}
	ids = append(ids, deploy(2, "1.1.0", 2), deploy(3, "1.2.0", 3))
	must.Do(t, back(t, s, a))
	st := state(t, s)
	if s.Current() != ids[1] || a.runs != ids[1] || st.Hold == nil || st.Hold.Serial != 3 || !slices.Equal(st.Left, ids[2:]) {
		t.Errorf("%q is current of %+v", s.Current(), st)
	}
	_, err := s.Stage(t.Context(), of(t, shop(t, "good", 3), "1.2.0", 3), trust(), StageOptions{Follow: true}, nil)
	wants(t, err, ErrHeld, "back from 1.2.0")
	// A later release ends the hold, and back from it leads to what was before it, not to what was left.
	if later := deploy(4, "1.3.0", 4); s.Current() != later || state(t, s).Hold != nil {
		t.Errorf("%q is current of %+v", s.Current(), state(t, s))
	}
	for _, want := range []string{ids[1], ids[0]} {
		must.Do(t, back(t, s, a))
		if s.Current() != want {
			t.Errorf("%q is current, and not %q", s.Current(), want)
		}
	}
	wants(t, back(t, s, a), ErrNotAccepted, "no good release before")
	if got := must.Get(s.Repair())(t); !slices.Equal(got.Good, ids[:1]) {
		t.Errorf("%+v", got)
	}
	must.Do(t, os.Remove(s.at(stateFile)))
	if got := must.Get(s.Repair())(t); !slices.Equal(got.Good, ids[:1]) || got.Hold == nil || len(got.Left) != 3 {
		t.Errorf("by the history it is %+v", got)
	}
}

// TestRecover_ReleaseGone: a release that has passed and was removed by hand does not stop the deploys after it.
func TestRecover_ReleaseGone(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	r := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
	st := state(t, s)
	st.Trial = &Trial{Release: r, From: first.ID, Passed: true}
	st.passed(*st.Trial)
	must.Do(t, s.save(st))
	must.Do(t, os.RemoveAll(s.at(releasesDir, r.ID)))
	rec, err := s.recover(t.Context(), a, nil)
	if st := state(t, s); err != nil || rec.Passed || s.Current() != first.ID || st.Trial != nil || !slices.Equal(st.Good, []string{first.ID}) {
		t.Errorf("%+v %v, %q is current of %+v", rec, err, s.Current(), st)
	}
	a.set("")
	before := state(t, s)
	if err := s.install(t.Context(), a, r, nil); err == nil || s.Current() != first.ID || !slices.Equal(state(t, s).Good, before.Good) {
		t.Errorf("one that is not there was installed: %v", err)
	}
}

// TestState_Passed: the way back leads to what was current before, whatever has made that current.
func TestState_Passed(t *testing.T) {
	st := State{Good: []string{"a", "b", "c"}}.filled()
	st.passed(Trial{Release: Release{ID: "d", Serial: 7}, From: "a"})
	st.passed(Trial{Release: Release{ID: "b", Serial: 3}, From: "d"})
	if !slices.Equal(st.Good, []string{"c", "a", "d", "b"}) || st.Serial != 7 {
		t.Errorf("%+v", st)
	}
}

func TestInstall(t *testing.T) {
	a := &fakeApp{}
	s, _ := runningIn(t, a)
	r := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
	wants(t, s.install(t.Context(), a, r, nil), ErrNotTried, "the app runs as process 4711")
	a.set("")
	must.Do(t, s.install(t.Context(), a, r, nil))
	if s.Current() != r.ID || state(t, s).Serial != 2 {
		t.Errorf("%q is current", s.Current())
	}
}

// TestCondemn: after three crashes the next start gets the good one before, and no app has to run.
func TestCondemn(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	_, err := s.Condemn(first.ID, "", "it crashed", nil)
	wants(t, err, ErrNotAccepted, "no good release before")
	r := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
	must.Get(try(t, s, a, r))(t)
	_, err = s.Condemn(first.ID, "", "it crashed", nil)
	wants(t, err, ErrNotTried, "is not current")
	good := must.Get(s.Condemn(r.ID, first.ID, "it crashed 3 times", nil))(t)
	st := state(t, s)
	if good.ID != first.ID || s.Current() != first.ID || st.Bad[r.SHA256].Reason != "it crashed 3 times" || st.Trial != nil {
		t.Errorf("%q is current of %+v", s.Current(), st)
	}
	// The one that is named, and not the one before.
	second := staged(t, s, of(t, shop(t, "good", 3), "1.2.0", 3))
	must.Get(try(t, s, a, second))(t)
	third := staged(t, s, of(t, shop(t, "good", 4), "1.3.0", 4))
	must.Get(try(t, s, a, third))(t)
	if good := must.Get(s.Condemn(third.ID, first.ID, "it crashed", nil))(t); good.ID != first.ID || s.Current() != first.ID {
		t.Errorf("%q is current", s.Current())
	}
	want := state(t, s)
	must.Do(t, os.Remove(s.at(stateFile)))
	if got := must.Get(s.Repair())(t); !slices.Equal(got.Good, want.Good) || len(got.Bad) != 2 || got.Hold != nil {
		t.Errorf("by the history it is %+v, and it was %+v", got, want)
	}
}

func TestPrune(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	var ids []string
	for i := range 4 {
		r := staged(t, s, of(t, shop(t, "good", i+2), "1."+itoa(i+1)+".0", int64(i+2)))
		must.Get(try(t, s, a, r))(t)
		ids = append(ids, r.ID)
	}
	wrong := staged(t, s, of(t, shop(t, "exit", 9), "2.0.0", 9))
	must.Get(try(t, s, bad(control.KindFailed, wrong.ID).with(ids[3]), wrong))(t)
	// A process that nobody knows of runs the first one.
	cmd := exec.Command(s.at(releasesDir, first.ID, "shop"), "wait")
	end := must.Get(cmd.StdinPipe())(t)
	must.Do(t, cmd.Start())
	gone, err := s.prune(t.Context(), a, 1, nil)
	must.Do(t, end.Close())
	must.Do(t, cmd.Wait())
	if want := ids[:2]; err != nil || !slices.Equal(gone, want) {
		t.Errorf("it has removed %v, and not %v: %v", gone, want, err)
	}
	gone, err = s.prune(t.Context(), a, 1, nil)
	if want := []string{first.ID}; err != nil || !slices.Equal(gone, want) {
		t.Errorf("it has removed %v, and not %v: %v", gone, want, err)
	}
	if st := state(t, s); !slices.Equal(st.Good, ids[2:]) {
		t.Errorf("%+v", st)
	}
	must.Do(t, back(t, s, a))
	a.set(ids[3]) // it still runs in the app
	if gone, err := s.prune(t.Context(), a, 0, nil); err != nil || len(gone) > 0 {
		t.Errorf("it has removed %v: %v", gone, err)
	}
	if gone, err := s.prune(t.Context(), nil, -1, nil); err != nil || len(gone) > 0 {
		t.Errorf("it has removed %v: %v", gone, err)
	}
	if left := must.Get(os.ReadDir(s.at(incomingDir)))(t); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func (f *fakeApp) with(release string) *fakeApp {
	f.set(release)
	return f
}

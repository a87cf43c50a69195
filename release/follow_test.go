//go:build linux

package release

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestFollower_DoesNotGoForwardAgain: a host that has gone back by hand does not get that program again from a follower,
// by whatever serial or version it is offered.
func TestFollower_DoesNotGoForwardAgain(t *testing.T) {
	t.Parallel()
	dir := storeDir(t)
	a := &fakeApp{}
	first, second := shop(t, "good", 1), shop(t, "good", 2)
	s := openStore(t, dir)
	must.Do(t, s.Install(t.Context(), nil, staged(t, s, of(t, first, "1.0.0", 1)), nil))
	a.set(s.Current())
	must.Do(t, s.Close())
	follow := func(src *shelf) error {
		f := &Follower{Source: src, Trust: trust(), host: "host", FollowOptions: FollowOptions{Log: slog.New(slog.DiscardHandler)}}
		f.open = func(context.Context) (*Store, app, error) {
			s, err := Open(dir, "shop")
			return s, a, err
		}
		return f.poll(t.Context())
	}
	must.Do(t, follow(of(t, second, "1.1.0", 2)))
	s = openStore(t, dir)
	back := s.trial(nil, "back", must.Get(s.before())(t))
	back.back = true
	must.Get(back.try(t.Context(), a))(t)
	must.Do(t, s.Close())
	wants(t, follow(of(t, second, "1.1.0", 2)), ErrHeld, "back from 1.1.0-")
	for version, serial := range map[string]int64{"1.1.0": 3, "1.1.1": 4} {
		wants(t, follow(of(t, second, version, serial)), ErrNotAccepted, "has gone back from 1.1.0-")
	}
	if got, want := a.get(), idOf("1.0.0", sum(first)); got != want {
		t.Errorf("it runs %s, and not %s", got, want)
	}
	must.Do(t, follow(of(t, shop(t, "good", 3), "1.2.0", 5)))
	s = openStore(t, dir)
	if _, err := s.Stage(t.Context(), of(t, second, "1.1.0", 6), trust(), StageOptions{}, nil); err != nil {
		t.Errorf("by hand: %v", err)
	}
}

// TestFollower_AClockThatWasWrong: a release that has expired by a clock which is set later on is tried then.
func TestFollower_AClockThatWasWrong(t *testing.T) {
	a := &fakeApp{}
	s, first := runningIn(t, a)
	must.Do(t, s.Close())
	src := of(t, shop(t, "good", 2), "1.1.0", 2, func(m *Manifest) { m.Expires = time.Now().Add(time.Hour).UTC() })
	ahead := 2 * time.Hour
	f := &Follower{Source: src, Trust: trust(), FollowOptions: FollowOptions{Log: slog.New(slog.DiscardHandler)}}
	f.open = func(context.Context) (*Store, app, error) {
		s, err := Open(s.Dir(), "shop")
		if err == nil {
			s.now = func() time.Time { return time.Now().Add(ahead) }
		}
		return s, a, err
	}
	for range 2 {
		wants(t, once(t.Context(), f), ErrNotAccepted, "it has expired")
		if a.get() != first.ID {
			t.Errorf("%s runs", a.get())
		}
	}
	ahead = 0
	must.Do(t, once(t.Context(), f))
	if a.get() == first.ID {
		t.Error("it was not tried")
	}
	wants(t, once(t.Context(), f), ErrUnchanged, "")

	// One that has expired by the right clock is not looked at again and again.
	src = of(t, shop(t, "good", 3), "1.2.0", 3, func(m *Manifest) { m.Expires = time.Now().Add(-time.Hour).UTC() })
	f.Source = src
	wants(t, once(t.Context(), f), ErrNotAccepted, "it has expired")
	wants(t, once(t.Context(), f), ErrUnchanged, "")
}

// once is Once without the outcome.
func once(ctx context.Context, f *Follower) error {
	_, err := f.Once(ctx)
	return err
}

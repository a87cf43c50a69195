package conns

import (
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// playedSleeper notes what it is asked.
type playedSleeper struct {
	answers bool // it has just answered a request
	asked   []string
}

func (s *playedSleeper) wake()        { s.asked = append(s.asked, "wake") }
func (s *playedSleeper) invite()      { s.asked = append(s.asked, "invite") }
func (s *playedSleeper) recent() bool { return s.answers }

func playedSleepers(n int, answers bool) (all []*playedSleeper, asSleepers []sleeper) {
	for range n {
		s := &playedSleeper{answers: answers}
		all, asSleepers = append(all, s), append(asSleepers, s)
	}
	return all, asSleepers
}

// count is how many were asked to do that, and nothing else, so far.
func count(all []*playedSleeper, asked ...string) (n int) {
	for _, s := range all {
		if slices.Equal(s.asked, asked) {
			n++
		}
	}
	return n
}

// TestRound_InvitesTheBusyFirst, two at a time while clients are served. The others are woken.
func TestRound_InvitesTheBusyFirst(t *testing.T) {
	t.Parallel()
	busy, all := playedSleepers(5, true)
	idle, others := playedSleepers(Gentle+1, false)
	r := newRound(slices.Concat(others, all), func() []sleeper { return all })
	for i, want := range []struct{ invited, woken int }{{2, 0}, {4, 0}, {5, 0}, {5, Gentle}, {5, Gentle + 1}} {
		r.ask(Gentle)
		if invited, woken := count(busy, "invite"), count(idle, "wake"); invited != want.invited || woken != want.woken {
			t.Errorf("after %d: %d invited and %d woken, want %+v", i+1, invited, woken, want)
		}
	}
}

// TestRound_WakesWhoIsLeft: a connection that was invited, and has no more requests, moves too.
func TestRound_WakesWhoIsLeft(t *testing.T) {
	t.Parallel()
	busy, all := playedSleepers(3, true)
	later, rest := playedSleepers(1, false)
	asked := false
	r := newRound(all, func() []sleeper {
		if asked || count(busy, "invite") != len(busy) {
			t.Error("the rest is asked for before all have been asked, or again")
		}
		asked = true
		return append(rest, all[:2]...)
	})
	for n := 0; r.left() > 0; n++ {
		if n > 10 {
			t.Fatal("the round does not end")
		}
		r.ask(fd.MaxFiles)
	}
	if count(busy, "invite", "wake") != 2 || count(later, "wake") != 1 {
		t.Errorf("asked: %+v, and later %+v", busy, later)
	}
	share, some := playedSleepers(3, true)
	for r := newRound(some, func() []sleeper { return nil }); r.left() > 0; {
		r.ask(fd.MaxFiles)
	}
	if count(share, "invite", "wake") != 3 {
		t.Errorf("of a share: %+v", share)
	}
}

// TestRound_Empty has the rest to ask.
func TestRound_Empty(t *testing.T) {
	t.Parallel()
	late, rest := playedSleepers(1, true)
	r := newRound(nil, func() []sleeper { return rest })
	if r.left() != 1 {
		t.Errorf("%d are left, want one", r.left())
	}
	r.ask(1)
	if count(late, "wake") != 1 || r.left() != 0 {
		t.Errorf("asked %v; %d are left", late[0].asked, r.left())
	}
}

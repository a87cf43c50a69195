//go:build unix

package supervise

import (
	"fmt"
	"time"

	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/spawn"
)

// soak watches a release that has taken the service over from another one, for a while after its probation. Its JSON is
// a part of Frozen.
type soak struct {
	Serves string `json:"serves,omitempty"` // the release that serves for good; empty if it is not known

	Release string    `json:"release,omitempty"` // that is watched; empty for none
	Before  string    `json:"before,omitempty"`  // that it has replaced
	Until   time.Time `json:"until,omitzero"`
	Crashes int       `json:"crashes,omitempty"`

	Bad  string `json:"bad,omitempty"`  // is not started any more; empty for none
	Good string `json:"good,omitempty"` // is started in its place
}

// servesForGood notes that a release serves and that its probation, if there was one, is over.
func (s *soak) servesForGood(release string, soak time.Duration) {
	was := s.Serves
	s.Serves = release
	if release != "" && release == s.Bad { // somebody has deployed it again, so that it is good by now
		s.Bad, s.Good = "", ""
	}
	switch {
	case release == s.Release && release != "": // a crash has been answered
	case was == "" || release == "" || release == was || soak < 0:
		s.stop()
	case release == s.Before, release == s.Good: // which was gone back to
		s.stop()
	default:
		s.Release, s.Before, s.Until, s.Crashes = release, was, time.Now().Add(soak), 0
	}
}

func (s *soak) stop() { s.Release, s.Before, s.Until, s.Crashes = "", "", time.Time{}, 0 }

// crashed counts a worker of a release that has lived for so long. It reports whether that is one too many.
func (s *soak) crashed(release string, lived time.Duration) bool {
	if release == "" || release != s.Release || lived >= Stable || time.Now().After(s.Until) {
		return false
	}
	s.Crashes++
	return s.Crashes >= SoakCrashes
}

// goBack has the release before be started from here on, as long as current leads to the bad one.
func (m *supervisor) goBack(args []any) {
	s := &m.soak
	s.Bad, s.Good = s.Release, s.Before
	s.stop()
	m.cfg.Log.Error("a release has crashed again and again soon after it took over; the one before it is started in its place "+
		"as long as the symlink current leads to it: switch that back, or deploy a good release",
		append(args, "release", s.Bad, "next_release", s.Good, "crashes", SoakCrashes, "soak", m.cfg.Soak.String())...)
	m.notify(sdnotify.Status(fmt.Sprintf("release %s crashed %d times soon after it took over; release %s is started in its place", s.Bad, SoakCrashes, s.Good)))
	if hook, bad, good := m.cfg.WentBack, s.Bad, s.Good; hook != nil {
		go func() {
			if err := hook(bad, good); err != nil {
				m.cfg.Log.Error("the symlink current could not be switched back", "release", good, "error", err)
			}
		}()
	}
	m.failures = 1
	m.begin()
}

// instead returns how the release before a bad one is started, if current leads to that.
func (m *supervisor) instead(l spawn.Launch) spawn.Launch {
	s := &m.soak
	if s.Bad == "" {
		return l
	}
	if next := l.NextRelease(); next != s.Bad {
		s.Bad, s.Good = "", "" // somebody has switched it
		return l
	}
	other, err := l.To(s.Good)
	if err != nil {
		m.cfg.Log.Error("the release before a bad one can't be started; the bad one is", "release", s.Good, "error", err)
		return l
	}
	return other
}

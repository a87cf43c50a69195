//go:build unix

package supervise

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/internal/must"
)

func TestSoak_CountsCrashesOfTheReleaseThatTookOver(t *testing.T) {
	t.Parallel()
	const short, long = time.Second, Stable
	var s soak
	s.servesForGood("1", time.Minute)
	if s.Release != "" {
		t.Errorf("the first one is watched: %+v", s)
	}
	s.servesForGood("2", time.Minute)
	for i, tt := range []struct {
		release string
		lived   time.Duration
		want    bool
	}{{"2", short, false}, {"2", long, false}, {"1", short, false}, {"", short, false}, {"2", short, false}, {"2", short, true}} {
		s.servesForGood("2", time.Minute) // after a crash, too
		if got := s.crashed(tt.release, tt.lived); got != tt.want {
			t.Errorf("crash %d: %v", i, got)
		}
	}
	s.servesForGood("1", time.Minute) // somebody has gone back
	if s.Release != "" {
		t.Errorf("the release before is watched: %+v", s)
	}
	s.servesForGood("2", -1)
	for range SoakCrashes {
		if s.crashed("2", short) {
			t.Error("without a soak crashes are counted")
		}
	}
	s.servesForGood("3", time.Minute)
	s.Until = time.Now()
	if s.crashed("3", short); s.Crashes != 0 {
		t.Error("a crash after the soak is counted")
	}
	s.servesForGood("", time.Minute)
	s.servesForGood("4", time.Minute)
	if s.Release != "" {
		t.Errorf("it is not known what was before: %+v", s)
	}
}

// TestSoak_CallsWentBackOnce, and starts the release before meanwhile, whatever the hook says, until current leads
// elsewhere.
func TestSoak_CallsWentBackOnce(t *testing.T) {
	t.Parallel()
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	for _, r := range []string{"1", "2", "3"} {
		must.Do(t, os.MkdirAll(filepath.Join(dir, "releases", r), 0o755))
	}
	flip := func(release string) {
		must.Do(t, os.Symlink("releases/"+release, filepath.Join(dir, "new")))
		must.Do(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")))
	}
	flip("2")
	called := make(chan [2]string, 2)
	log := new(strings.Builder)
	logged := make(chan string, 9)
	cfg := Config{MaxFailures: 1, WentBack: func(bad, good string) error {
		called <- [2]string{bad, good}
		return errors.New("read-only file system")
	}, Log: slog.New(slog.NewTextHandler(lines(func(s string) { logged <- s }), nil))}
	m := &supervisor{
		launch: spawn.Launch{Argv: []string{dir + "/current/app"}, Dir: dir}, cfg: cfg.withDefaults(), served: true, quit: make(chan struct{}),
	}
	defer close(m.quit)
	m.soak.servesForGood("1", time.Minute)
	m.soak.servesForGood("2", time.Minute)
	m.soak.Crashes = SoakCrashes - 1
	m.crashed(&worker{fromRelease: "2", begun: time.Now()}, nil) // there is no program, so the next one does not start
	if got := <-called; got != [2]string{"2", "1"} {
		t.Errorf("called with %q", got)
	}
	for _, text := range []string{"the one before it is started in its place", "could not be switched back", filepath.Join(dir, "releases/1/app")} {
		for !strings.Contains(log.String(), text) {
			log.WriteString(<-logged) // in any order
		}
	}
	for _, tt := range [][2]string{{"2", "releases/1/app"}, {"3", "current/app"}, {"2", "current/app"}} {
		flip(tt[0])
		if _, path, _ := m.find(); path != filepath.Join(dir, tt[1]) {
			t.Errorf("current leads to %s: %s is started", tt[0], path)
		}
	}
	if len(called) > 0 {
		t.Error("called again")
	}
}

// TestSoak_BelievesALaterProbation: a release that was bad, as without its database, can be deployed again. It is what
// the next crash starts then.
func TestSoak_BelievesALaterProbation(t *testing.T) {
	t.Parallel()
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	for _, r := range []string{"1", "2"} {
		must.Do(t, os.MkdirAll(filepath.Join(dir, "releases", r), 0o755))
	}
	must.Do(t, os.Symlink("releases/2", filepath.Join(dir, "current")))
	m := &supervisor{launch: spawn.Launch{Argv: []string{dir + "/current/app"}, Dir: dir}, cfg: Config{}.withDefaults(), soak: soak{Serves: "1", Bad: "2", Good: "1"}}
	m.soak.servesForGood("1", time.Minute) // in its place
	m.soak.servesForGood("2", time.Minute)
	if _, path, _ := m.find(); path != filepath.Join(dir, "current/app") {
		t.Errorf("%s is started", path)
	}
	if m.soak.Release != "2" || m.soak.Before != "1" {
		t.Errorf("it is not watched: %+v", m.soak)
	}
}

// TestSoak_GoesBackInsteadOfGivingUp: with few crashes allowed, the service does not end while there is a release that
// was good.
func TestSoak_GoesBackInsteadOfGivingUp(t *testing.T) {
	t.Parallel()
	called := make(chan [2]string, 1)
	cfg := Config{MaxFailures: 1, WentBack: func(bad, good string) error {
		called <- [2]string{bad, good}
		return nil
	}}
	m := &supervisor{launch: spawn.Launch{Argv: []string{"/no/app"}}, cfg: cfg.withDefaults(), served: true, failures: 1, quit: make(chan struct{})}
	defer close(m.quit)
	m.soak.servesForGood("1", time.Minute)
	m.soak.servesForGood("2", time.Minute)
	m.crashed(&worker{fromRelease: "2", begun: time.Now()}, nil)
	select {
	case got := <-called:
		if got != [2]string{"2", "1"} {
			t.Errorf("called with %q", got)
		}
	case <-time.After(10 * time.Second):
		t.Error("it was given up")
	}
}

// lines is a writer.
type lines func(string)

func (f lines) Write(b []byte) (int, error) { f(string(b)); return len(b), nil }

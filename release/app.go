package release

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// app is what a trial needs of the app that runs.
type app interface {
	// status returns an error that noApp knows if nothing runs.
	status(ctx context.Context) (appStatus, error)
	// upgradeTo has the app start a release by its name. The error is nil if the outcome is known.
	upgradeTo(ctx context.Context, release string, events func(control.Event)) (control.Outcome, error)
}

// appStatus is what runs.
type appStatus struct {
	pid      int      // of the process that serves
	release  string   // that it was started from; empty if that is not known
	settling bool     // an upgrade is in progress, or on probation
	others   []string // the releases of all its processes

	elsewhere string // path that its next start gets, if that is not in this store; empty otherwise, or if it is not known

	last lastUpgrade
}

// lastUpgrade is what the app remembers of the last upgrade that it was asked for and did not do.
type lastUpgrade struct {
	release string // empty: there was none, or no release was named
	at      time.Time
	outcome control.Outcome
}

// client is an app by its control socket.
type client struct {
	*control.Client
	s *Store
}

// appOf returns nil for no client.
func (s *Store) appOf(c *control.Client) app {
	if c == nil {
		return nil
	}
	return client{c, s}
}

func (c client) status(ctx context.Context) (appStatus, error) {
	st, err := c.Status(ctx)
	if err != nil {
		return appStatus{}, err
	}
	a := appStatus{pid: st.PID, settling: settling(st)}
	if path, err := filepath.EvalSymlinks(st.Program); err == nil && !st.Elsewhere() && !strings.HasPrefix(path, c.s.dir+string(filepath.Separator)) {
		a.elsewhere = st.Program
	}
	if l := st.LastUpgrade; l != nil && !l.Outcome.OK {
		a.last = lastUpgrade{l.Outcome.Release, l.At, l.Outcome}
	}
	for _, g := range st.Generations {
		id := g.Release
		if id == "" && !st.Elsewhere() {
			id = c.s.runs(g.PID) // a plain file that was adopted
		}
		if g.PID == st.PID {
			a.release = id
		}
		if id != "" {
			a.others = append(a.others, id)
		}
	}
	return a, nil
}

// settling reports whether an upgrade is in progress, or on probation.
func settling(st control.Status) bool {
	return slices.ContainsFunc(st.Generations, func(g control.Generation) bool {
		return g.Probation || g.State == "upgrading" || g.State == "probation"
	})
}

func (c client) upgradeTo(ctx context.Context, release string, events func(control.Event)) (control.Outcome, error) {
	return c.Upgrade(ctx, control.UpgradeOptions{Release: release, Events: events})
}

// runs returns the release whose program a process executes, by the file and not by its path: one that was adopted was
// started from another path. It is empty if there is none, or that can't be seen.
func (s *Store) runs(pid int) string {
	exe := programOf(pid)
	if exe == nil {
		return ""
	}
	return s.programs().release(exe)
}

// programs are the programs in releases/, by the name of their release.
type programs map[string]os.FileInfo

func (s *Store) programs() programs {
	all, err := s.Releases()
	if err != nil {
		return nil
	}
	found := programs{}
	for _, r := range all {
		if fi, err := s.root.Stat(filepath.Join(releasesDir, r.ID, s.program)); err == nil {
			found[r.ID] = fi
		}
	}
	return found
}

// Running returns the releases that processes of this machine run, on Linux. Those of other users are seen by root only.
func (s *Store) Running() (ids []string) {
	programs := s.programs()
	for _, exe := range running() {
		if id := programs.release(exe); id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// release returns the one that a file is the program of; empty if there is none.
func (p programs) release(file os.FileInfo) string {
	for id, fi := range p {
		if os.SameFile(fi, file) {
			return id
		}
	}
	return ""
}

// noApp reports whether an error means that nothing runs.
func noApp(err error) bool {
	return errors.Is(err, control.ErrNotFound) || errors.Is(err, control.ErrStale)
}

// lookEvery is how often an app is asked whether its probation is over.
const lookEvery = 200 * time.Millisecond

// untilSettled waits for the end of an upgrade, and returns what runs then.
func untilSettled(ctx context.Context, a app, every time.Duration) (appStatus, error) {
	for {
		st, err := a.status(ctx)
		if err != nil || !st.settling {
			return st, err
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return st, ctx.Err()
		}
	}
}

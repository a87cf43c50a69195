//go:build linux

package release

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// plainFile puts a program at the place from which a service was started before it had releases.
func plainFile(t testing.TB, s *Store, program []byte) {
	t.Helper()
	must.Do(t, os.WriteFile(s.at("shop"), program, 0o755))
}

func TestAdopt(t *testing.T) {
	s := newStore(t)
	program := shop(t, "good", 1)
	plainFile(t, s, program)
	before := must.Get(os.Stat(s.at("shop")))(t)
	r := must.Get(s.Adopt(t.Context(), nil, "", nil))(t)
	if r.SHA256 != sum(program) || s.Current() != r.ID || must.Get(os.Readlink(s.at("shop")))(t) != "current/shop" {
		t.Errorf("%+v, %q is current", r, s.Current())
	}
	if after := must.Get(os.Stat(s.at("shop")))(t); !os.SameFile(before, after) || after.Mode().Perm() != 0o555 {
		t.Errorf("the file is another one, or has mode %v", after.Mode())
	}
	// A release under another name, and what is done next.
	later := staged(t, s, of(t, shop(t, "good", 2), "1.1.0", 2))
	a := (&fakeApp{}).with(r.ID)
	must.Get(try(t, s, a, later))(t)
	if got := must.Get(os.ReadFile(s.at("shop")))(t); sum(got) != later.SHA256 {
		t.Error("the old path does not lead to the current release")
	}
	must.Do(t, back(t, s, a))
	if s.Current() != r.ID {
		t.Errorf("%q is current", s.Current())
	}
}

// TestAdopt_Refuses: the file stays what it was, and nothing is current.
func TestAdopt_Refuses(t *testing.T) {
	program := shop(t, "good", 1)
	for name, c := range map[string]struct {
		prepare func(s *Store)
		app     app
		version string
		is      error
		says    string
	}{
		"no file":             {func(s *Store) { must.Do(t, os.Remove(s.at("shop"))) }, nil, "", ErrNotTried, "no such file"},
		"no gracex":           {func(s *Store) { must.Do(t, os.WriteFile(s.at("shop"), []byte("#!/bin/sh\n"), 0o755)) }, nil, "", ErrNotAccepted, "no program"},
		"a link elsewhere":    {func(s *Store) { must.Do(t, os.Remove(s.at("shop"))); must.Do(t, os.Symlink("x", s.at("shop"))) }, nil, "", ErrNotTried, "does not lead to"},
		"written by all":      {func(s *Store) { must.Do(t, os.Chmod(s.at("shop"), 0o777)) }, nil, "", ErrNotAccepted, "written by everybody"},
		"setuid":              {func(s *Store) { must.Do(t, os.Chmod(s.at("shop"), 0o755|os.ModeSetuid)) }, nil, "", ErrNotAccepted, "setuid"},
		"no version":          {func(*Store) {}, nil, "a/b", ErrNotAccepted, "other characters"},
		"another file runs":   {func(*Store) {}, runsSelf{}, "", ErrNotTried, "runs another file"},
		"an upgrade is going": {func(*Store) {}, &fakeApp{runs: "x", busy: true}, "", ErrNotTried, "in progress"},
		"who knows":           {func(*Store) {}, broken{}, "", errBroken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			plainFile(t, s, program)
			c.prepare(s)
			_, err := s.adopt(t.Context(), c.app, c.version, nil)
			wants(t, err, c.is, c.says)
			if fi, err := os.Lstat(s.at("shop")); s.Current() != "" || name != "no file" && (err != nil || fi.Mode()&os.ModeSymlink != 0 != (name == "a link elsewhere")) {
				t.Errorf("%q is current, and the file is %v", s.Current(), err)
			}
		})
	}
}

// runsSelf is an app whose process is this one.
type runsSelf struct{ broken }

func (runsSelf) status(context.Context) (appStatus, error) { return appStatus{pid: os.Getpid()}, nil }

type broken struct{}

var errBroken = errors.New("broken")

func (broken) status(context.Context) (appStatus, error) { return appStatus{}, errBroken }

func (broken) upgradeTo(context.Context, string, func(control.Event)) (o control.Outcome, err error) {
	return o, errBroken
}

// TestAdopt_Killed: the service can be started by its old path after each step, and adopting again ends it.
func TestAdopt_Killed(t *testing.T) {
	program := shop(t, "good", 1)
	for _, at := range []string{"staged", "good", "current", "recorded", "linked"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			plainFile(t, s, program)
			must.Do(t, s.Close())
			if !killedAt(t, s.dir, "adopt", "", at) {
				t.Fatalf("it never came to %s", at)
			}
			if sum(must.Get(os.ReadFile(s.at("shop")))(t)) != sum(program) {
				t.Error("the old path leads elsewhere")
			}
			s = openStore(t, s.dir)
			must.Get(s.Recover(t.Context(), nil, nil))(t)
			r := must.Get(s.Adopt(t.Context(), nil, "1.0.0", nil))(t)
			if s.Current() != r.ID || must.Get(filepath.EvalSymlinks(s.at("shop")))(t) != s.at(releasesDir, r.ID, "shop") || state(t, s).Trial != nil {
				t.Errorf("%q is current of %+v", s.Current(), state(t, s))
			}
			if _, err := s.Adopt(t.Context(), nil, "1.0.0", nil); err != nil {
				t.Error(err)
			}
		})
	}
}

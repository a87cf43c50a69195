package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// storeFlags say which app's releases a command is for.
type storeFlags struct {
	target       *target
	dir, program string
}

func (s *storeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&s.dir, "dir", "", "`directory` with the releases of the app; for an app that does not run")
	c.Flags().StringVar(&s.program, "program", "", "`name` of the program in --dir; left out, that of the directory")
}

// place is an app with its releases.
type place struct {
	store  *release.Store
	client *control.Client // nil if no app runs
	runs   string          // the version that it says; empty if there is none
	absent error           // why there is none
}

func (p *place) close() { _ = p.store.Close() }

// locate finds the app, and where its releases are. The client is nil if no app runs. plain says that the app can run from
// a plain file.
func (s *storeFlags) locate(ctx context.Context, plain bool) (dir, program string, p *place, err error) {
	if s.program != "" && s.dir == "" {
		return "", "", nil, usagef("--program is for --dir; without it the program is that of the app that runs")
	}
	t := *s.target
	if s.dir != "" {
		if dir, err = filepath.Abs(s.dir); err != nil {
			return "", "", nil, err
		}
		if program = s.program; program == "" {
			program = filepath.Base(dir)
		}
		t.program = filepath.Join(dir, "current", program)
	}
	client, status, err := t.find(ctx)
	switch {
	case err == nil:
	case s.dir != "" && (errors.Is(err, control.ErrNotFound) || errors.Is(err, control.ErrStale)):
		return dir, program, &place{absent: fmt.Errorf("%w; start it, or make a release current without a trial by --install", err)}, nil
	default:
		return "", "", nil, err
	}
	if status.Elsewhere() {
		return "", "", nil, errors.New("the app is in another pid namespace, such as a container's, and its files are not those here: " +
			"deploy from inside it, or start another container")
	}
	runs, name, err := release.Locate(status.Program)
	if err != nil && plain {
		runs, name, err = filepath.Dir(status.Program), filepath.Base(status.Program), nil
	}
	switch {
	case err != nil:
		return "", "", nil, fmt.Errorf("%w; --adopt makes the first release of it", err)
	case s.dir != "" && !sameDir(runs, dir):
		return "", "", nil, fmt.Errorf("the app that was found is started from %s, and not from %s: name another app, or another --dir", runs, dir)
	}
	return runs, name, &place{client: client, runs: status.Version}, nil
}

// sameDir reports whether two paths lead to one directory.
func sameDir(a, b string) bool {
	a, aerr := filepath.EvalSymlinks(a)
	b, berr := filepath.EvalSymlinks(b)
	return aerr == nil && berr == nil && a == b
}

// open finds the app, and opens the store of its releases. plain says that the app can run from a plain file.
func (s *storeFlags) open(ctx context.Context, plain bool) (*place, error) {
	dir, program, p, err := s.locate(ctx, plain)
	if err != nil {
		return nil, err
	}
	p.store, err = release.Open(dir, program)
	return p, err
}

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
	target *target
	dir    string
}

func (s *storeFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&s.dir, "dir", "", "`directory` of the app with its releases, for an app that does not run; its\nprogram has the directory's name, or give the path of the program below it")
}

// place is an app with its releases.
type place struct {
	store  *release.Store
	client *control.Client // nil if no app runs
	runs   string          // the version that it says; empty if there is none
	absent error           // why there is none
}

func (p *place) close() { _ = p.store.Close() }

// locate finds the app, and where its releases are. The client is nil if no app runs.
func (s *storeFlags) locate(ctx context.Context, plain bool) (dir, program string, p *place, err error) {
	client, status, err := s.target.find(ctx)
	p = &place{client: client, runs: status.Version}
	if err != nil {
		if s.dir == "" || !errors.Is(err, control.ErrNotFound) && !errors.Is(err, control.ErrStale) {
			return "", "", nil, err
		}
		p.client, p.absent = nil, fmt.Errorf("%w; start the app, or make the release current without a trial by --install", err)
	}
	if s.dir != "" {
		dir, program = filepath.Split(filepath.Clean(s.dir))
		if d, name, lerr := release.Locate(s.dir); lerr == nil {
			dir, program = d, name // the program's path was given
		} else {
			dir = s.dir
		}
	}
	if p.client == nil {
		return dir, program, p, nil
	}
	if status.Elsewhere() {
		return "", "", nil, fmt.Errorf("the app is in another pid namespace, such as a container's, and its files are not those here: deploy from inside it, or start another container")
	}
	runs, name, err := release.Locate(status.Program)
	if err != nil && plain {
		runs, name = filepath.Split(status.Program)
		err = nil
	}
	switch {
	case err != nil:
		return "", "", nil, fmt.Errorf("%w; --adopt makes the first release of it", err)
	case s.dir != "" && !sameDir(runs, dir):
		return "", "", nil, fmt.Errorf("the app that was found is started from %s, and not from %s: name the app by --pid-file", runs, dir)
	}
	return runs, name, p, nil
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

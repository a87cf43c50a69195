package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	c.Flags().StringVar(&s.dir, "dir", "", "`directory` of the app with its releases, for an app that does not run. At first it\nsays the program's name, too: /srv/shop/shop; left out, that is the directory's")
}

// place is an app with its releases.
type place struct {
	store  *release.Store
	client *control.Client // nil if no app runs
	runs   string          // the version that it says; empty if there is none
	absent error           // why there is none
	plain  bool            // it runs from a plain file
}

func (p *place) close() { _ = p.store.Close() }

// locate finds the app, and where its releases are. The client is nil if no app runs. plain says that it can run from a
// plain file.
func (s *storeFlags) locate(ctx context.Context, plain bool) (dir, program string, p *place, err error) {
	app := *s.target
	if s.dir != "" {
		if dir, program, err = places(s.dir); err != nil {
			return "", "", nil, err
		}
		if app == (target{}) {
			app.program = startedAs(dir, program)
		}
	}
	client, status, err := app.find(ctx)
	switch {
	case err == nil:
	case s.dir != "" && (errors.Is(err, control.ErrNotFound) || errors.Is(err, control.ErrStale)):
		return dir, program, &place{absent: err}, nil
	default:
		return "", "", nil, err
	}
	if status.Elsewhere() {
		return "", "", nil, notTried("the app is in another pid namespace, such as a container's, and its files are not those here: deploy from inside of it, or start another container")
	}
	runs, name, err := release.Locate(status.Program)
	isPlain := err != nil
	switch {
	case err != nil && plain:
		runs, name = filepath.Split(status.Program)
	case err != nil:
		return "", "", nil, notTried("the app is started from the plain file %s, and not from releases: \"gracex deploy FILE --adopt\" makes the first release of it, once",
			control.Printable(status.Program))
	}
	if s.dir != "" && !sameDir(runs, dir) {
		return "", "", nil, usagef("--dir %s: the app that was found is started from %s; leave --dir out, or name another app", s.dir, control.Printable(filepath.Clean(runs)))
	}
	return runs, name, &place{client: client, runs: status.Version, plain: isPlain}, nil
}

// notTried is an error for what was not begun.
func notTried(format string, args ...any) error {
	return &exitError{code: exitNotTried, err: fmt.Errorf(format, args...)}
}

// places are the directory and the program that --dir means: the directory, or the program's path with or without
// current in it. The program does not have to be there.
func places(path string) (dir, program string, err error) {
	if dir, program, err := release.Locate(path); err == nil {
		return dir, program, nil
	}
	if path, err = filepath.Abs(path); err != nil { // "." has no name
		return "", "", err
	}
	if above := filepath.Dir(path); filepath.Base(above) == "current" {
		return filepath.Dir(above), filepath.Base(path), nil
	}
	switch fi, err := os.Stat(path); {
	case err == nil && fi.IsDir():
		return path, programIn(path), nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		return filepath.Dir(path), filepath.Base(path), nil
	default:
		return "", "", notTried("--dir: %w", err)
	}
}

// programIn is the name of the program in a directory with releases: the one that is current. Before the first release
// it is the directory's name.
func programIn(dir string) string {
	entries, _ := os.ReadDir(filepath.Join(dir, "current") + string(filepath.Separator))
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() && fi.Mode().Perm()&0o111 != 0 {
			return e.Name()
		}
	}
	return filepath.Base(dir)
}

// startedAs is the path from which an app with releases is started, or the plain file before there are any.
func startedAs(dir, program string) string {
	path := filepath.Join(dir, "current", program)
	if _, err := os.Stat(path); err != nil {
		return filepath.Join(dir, program)
	}
	return path
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

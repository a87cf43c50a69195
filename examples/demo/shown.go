package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page"
)

// shownExample is the Gin example as a page shows it: with a control socket, and versions that can be told apart.
func shownExample(dir string) program {
	p := ginExample
	p.versions, p.control = filepath.Join(dir, "version"), filepath.Join(dir, "control.sock")
	p.args = []string{"-probation", uiProbation.String(), "-versionfile", p.versions, "-control", p.control}
	return p
}

// place writes the version of the next process that is started.
func (p program) place(n int) error {
	return os.WriteFile(p.versions, fmt.Appendf(nil, "v1.%d.0\n", n), 0o600)
}

// show prints the address of a page that shows the program, until the function is called that it returns.
func show(ctx context.Context, p program, out printer) (hide func(), err error) {
	ln, err := page.ListenLocal("")
	if err != nil {
		return nil, err
	}
	client := control.Dial(p.control)
	h, token := page.Local(page.Config{Source: client, Actions: func(*http.Request) bool { return true }})
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(ln) }()
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- p.release(ctx, client) }()
	out.printf("%s: shown at http://%s/#token=%s\n", p.name, ln.Addr(), token)
	return func() {
		cancel()
		if err := <-watched; !errors.Is(err, context.Canceled) && !errors.Is(err, control.ErrNotFound) && !errors.Is(err, control.ErrStale) {
			out.printf("%s: %v\n", p.name, err)
		}
		_ = srv.Close()
	}, nil
}

// release puts another version in place after each upgrade, whoever has asked for that one.
func (p program) release(ctx context.Context, client *control.Client) error {
	next := 1
	err := p.place(next)
	if err != nil {
		return err
	}
	return errors.Join(client.Events(ctx, time.Now(), func(e control.Event) {
		if e.Step == control.StepConcluded {
			next++
			err = p.place(next)
		}
	}), err)
}

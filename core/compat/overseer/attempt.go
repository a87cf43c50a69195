package overseer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// waitsError is for a program that waits for a restart.
type waitsError struct{ release string }

func (waitsError) Error() string { return "it waits for a restart" }

// laterError is why a program is tried again.
type laterError struct {
	after time.Duration
	why   error
}

func (e *laterError) Error() string { return e.why.Error() }
func (e *laterError) Unwrap() error { return e.why }

// try upgrades to the program that waits. asked says that somebody wants it now.
func (f *updates) try(ctx context.Context, asked bool) {
	c := f.waiting
	if c == nil {
		return
	}
	f.again = nil
	f.askable.Store(false)
	err := f.attempt(ctx, c, asked)
	var later *laterError
	var waits waitsError
	switch {
	case err == nil:
		f.drop()
	case errors.As(err, &waits):
		f.askable.Store(true) // first: who reads that it waits may ask at once
		f.log.Info("overseer: a new version waits for a restart", "release", waits.release)
	case ctx.Err() != nil:
	case errors.As(err, &later):
		f.say("the new version is tried again later", err)
		f.again = time.After(later.after)
	default:
		f.refused[c.sha256] = true
		f.log.Error("overseer: the new version is not used, and this one serves on", "sha256", c.sha256, "error", err)
		f.drop()
	}
}

// attempt makes a release of a program and upgrades to it. The error says that this process serves on.
func (f *updates) attempt(ctx context.Context, c *candidate, asked bool) error {
	client, h, err := f.find(ctx)
	if err != nil {
		return &laterError{tryAgain, err}
	}
	s, err := release.Open(h.dir, h.program)
	if err != nil {
		return &laterError{tryAgain, err}
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Recover(ctx, client, f.event); err != nil {
		return &laterError{tryAgain, err}
	}
	st, err := s.State()
	if err != nil {
		return &laterError{tryAgain, err}
	}
	if hold := st.Hold; hold != nil {
		return &laterError{tryAgain, fmt.Errorf("held since %v by %s: %s", hold.Since.Format(time.RFC3339), hold.Who, hold.Reason)}
	}
	if err := f.adopt(ctx, s, h); err != nil {
		return &laterError{tryAgain, fmt.Errorf("no release can be made of what runs: %w", err)}
	}
	r, err := s.StageFile(ctx, c.path, "", release.StageOptions{Follow: true}, f.event)
	switch {
	case errors.Is(err, release.ErrNotAccepted):
		return err
	case err != nil:
		return &laterError{tryAgain, err}
	}
	switch {
	case f.p.NoRestart:
		f.log.Info("overseer: the next start gets a new version", "release", r.ID)
		if err := s.Install(ctx, nil, r, f.event); err != nil {
			return &laterError{tryAgain, err}
		}
		f.own.sha256 = c.sha256 // it is not fetched again
		return nil
	case f.p.NoRestartAfterFetch && !asked:
		return waitsError{r.ID}
	}
	// It is this process that is replaced, and its context ends with that.
	ctx = context.WithoutCancel(ctx)
	o, err := s.Try(ctx, client, r, f.event)
	switch {
	case err != nil:
		return &laterError{tryAgain, err}
	case o.OK:
		if _, err := s.Prune(ctx, client, release.DefaultKeep, f.event); err != nil {
			f.log.Warn("overseer: old releases stay", "error", err)
		}
		return nil
	}
	err = fmt.Errorf("%s %s: %s", r.ID, o.Kind, o.Reason)
	if o.Kind == control.KindRefused {
		return &laterError{tryAgain, err}
	}
	if st, serr := s.State(); serr == nil && o.Kind == control.KindTimedOut && st.Late[r.SHA256] > 0 {
		return &laterError{lateAgain, err}
	}
	return err
}

// find returns a client for this app, and where its releases are now.
func (f *updates) find(ctx context.Context) (*control.Client, home, error) {
	q := control.Query{PID: os.Getpid()}
	if _, err := os.Lstat(f.socket); err == nil {
		q = control.Query{Socket: f.socket}
	}
	c, err := control.Find(ctx, q)
	if err != nil {
		return nil, home{}, fmt.Errorf("the fetcher needs the control socket; give core.WithControlSocket or core.WithPIDFile in Config.Options: %w", err)
	}
	st, err := c.Status(ctx)
	if err != nil {
		return nil, home{}, err
	}
	h, err := homeOf(st.Program)
	if err == nil && h.dir != f.home.dir {
		err = fmt.Errorf("the next version is started as %s, whose releases are in %s and not in %s", st.Program, h.dir, f.home.dir)
	}
	return c, h, err
}

// event logs what is new in a step.
func (f *updates) event(e release.Event) {
	switch e.Kind {
	case release.EventCurrent, release.EventRecovered, release.EventPruned, release.EventVerified:
		f.log.Info("overseer: "+e.Kind, "release", e.Release, "text", e.Text)
	case release.EventBad, release.EventWarning:
		f.log.Warn("overseer: "+e.Kind, "release", e.Release, "text", e.Text)
	default:
		f.log.Debug("overseer: "+e.Kind, "release", e.Release, "text", e.Text)
	}
}

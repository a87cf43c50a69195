package release

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// DefaultEvery is how often a source is asked.
const DefaultEvery = 5 * time.Minute

const (
	jitter     = 0.2              // of the time between two questions, to either side
	minBackoff = time.Minute      // after a failure of the surroundings, or as often as it is asked if that is less; twice as long after each one more
	maxBackoff = time.Hour        // whatever a source asks for, too
	lateAgain  = 10 * time.Minute // until a program is tried again that was not ready in time
)

// FollowOptions say how a source is followed. The zero FollowOptions ask every DefaultEvery, and take each release as
// soon as its wave has come.
type FollowOptions struct {
	// Every is how often the source is asked, give or take a fifth; 0: DefaultEvery. The first time is after a part of
	// that which is always the same for a host and a product, so that many hosts do not ask at once.
	Every time.Duration

	// Window is when releases are started. The zero Window is always. A release waits in it; a way back does not.
	Window Window

	// Canary has this host be in the first wave of each release.
	Canary bool

	// Keep is how many good releases stay beside the current one; 0: DefaultKeep, negative: all.
	Keep int

	// Stage says what is accepted. Its Tag, Follow and Allow are set by the follower.
	Stage StageOptions

	// Log gets what an operator has to know; nil: slog.Default.
	Log *slog.Logger

	// Events receives each step. It may be nil.
	Events func(Event)
}

// Follow has an app follow a source, as background work of the process that has the service (core.WhileCurrent):
//
//	ginx.Run(r, ":8080", release.Follow(release.HTTP("https://dl.example.org/shop/stable"), trust, release.FollowOptions{}))
//
// The app was started as DIR/current/PROGRAM, or by a symlink that leads there, and has a control socket. Its user has to
// be able to write DIR, and so its own program. Where that is too much, "gracex follow" does the same as another user.
// What is wrong with that is logged, and the app serves on.
func Follow(src Source, t Trust, o FollowOptions) core.Option {
	find := func(ctx context.Context) (*control.Client, control.Status, error) {
		c, err := control.Find(ctx, control.Query{PID: os.Getpid()})
		if err != nil {
			return nil, control.Status{}, fmt.Errorf("release: Follow needs the app's control socket; give core.WithPIDFile or core.WithControlSocket: %w", err)
		}
		st, err := c.Status(ctx)
		return c, st, err
	}
	return core.WhileCurrent(func(ctx context.Context) error {
		f := &Follower{Source: src, Trust: t, FollowOptions: o, Find: find}
		f.log().Warn("release: the app follows a source by itself, so its user can write the program that it runs as; \"gracex follow\" can do it as another user",
			"source", src.String())
		return f.Run(ctx)
	})
}

// Follower keeps an app at the release that a source offers. Fill in the first three fields, and call Run.
type Follower struct {
	Source Source
	Trust  Trust
	// Find returns the app that runs, and its status. It is called anew for each release.
	Find func(ctx context.Context) (*control.Client, control.Status, error)
	FollowOptions

	host string // names this one among all hosts; empty: machineID. For tests.
	open func(ctx context.Context) (*Store, app, error)

	tag    string            // of the last offer that was genuine
	last   *Offer            // that is not done with; nil: none
	done   [sha256.Size]byte // of the last offer that is
	until  time.Time         // when the last offer expires: a clock can be set back; zero if it is done with for another reason
	said   string            // the last thing that was said of it
	failed int               // how often the surroundings have failed in a row

	outcome control.Outcome // of the last trial
}

// Run asks the source again and again, until ctx ends. A release that it offers is staged, and tried if nothing speaks
// against it; see [Store.Stage] and [Store.Try]. Never is one tried again that was bad. What can't be tried for now is
// tried later. An upgrade that was begun when ctx ends is seen to its end.
func (f *Follower) Run(ctx context.Context) error {
	if f.Trust.Name == "" {
		return errors.New("release: a Trust without a name: it is not known which product is to be followed")
	}
	if f.host == "" {
		f.host = machineID()
	}
	wait := time.Duration(share(f.host, f.Trust.Name) * float64(f.every()))
	f.log().Info("release: follows", "source", f.Source.String(), "every", f.every().String(), "first", wait.Round(time.Second).String())
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		wait = f.next(f.poll(ctx))
	}
}

// Once asks once, and returns what came of it. The error is nil if a release was tried and the outcome is known, even if
// that is not OK. It wraps ErrUnchanged if there is nothing new, and ErrNotTried if a release waits for its wave or for
// the window.
func (f *Follower) Once(ctx context.Context) (control.Outcome, error) {
	if f.host == "" {
		f.host = machineID()
	}
	f.outcome = control.Outcome{}
	err := f.poll(ctx)
	var later *laterError
	switch {
	case f.outcome.Kind != "":
		return f.outcome, nil
	case errors.As(err, &later):
		err = notNow("%w", err)
	}
	return control.Outcome{}, err
}

func (f *Follower) every() time.Duration {
	if f.Every <= 0 {
		return DefaultEvery
	}
	return f.Every
}

func (f *Follower) log() *slog.Logger {
	if f.Log == nil {
		return slog.Default()
	}
	return f.Log
}

// laterError is why a release is not tried yet.
type laterError struct {
	until time.Time
	why   string
}

func (e *laterError) Error() string {
	return fmt.Sprintf("it waits until %s: %s", e.until.UTC().Format(time.RFC3339), e.why)
}

// next is how long to wait after a question that has come to this.
func (f *Follower) next(err error) time.Duration {
	spread := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64())) //nolint:gosec // it only spreads
	}
	var later *laterError
	var source *WaitError
	switch {
	case errors.As(err, &later):
		f.failed = 0
		return min(max(time.Until(later.until), time.Second), spread(f.every()))
	case errors.Is(err, ErrNotTried) && !errors.Is(err, ErrHeld), errors.Is(err, ErrBusy):
		f.failed++
		wait := spread(min(min(minBackoff, f.every())<<min(f.failed-1, 20), maxBackoff))
		if errors.As(err, &source) {
			wait = max(wait, min(source.Wait, maxBackoff))
		}
		return wait
	}
	f.failed = 0
	return spread(f.every())
}

// poll asks once, and does what follows.
func (f *Follower) poll(ctx context.Context) error {
	err := f.look(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil, errors.Is(err, ErrUnchanged):
		f.said = ""
	default:
		f.say(err)
	}
	return err
}

// say tells of what has come in the way, once as long as it is the same.
func (f *Follower) say(err error) {
	if err.Error() == f.said {
		return
	}
	f.said = err.Error()
	e := Event{Kind: EventWaiting, Text: err.Error()}
	switch {
	case errors.Is(err, ErrHeld):
		e.Kind = EventHeld
	case errors.Is(err, ErrNotAccepted):
		e.Kind = EventRefused
		f.log().Error("release: not accepted", "source", f.Source.String(), "error", err)
	case errors.Is(err, ErrNotTried), errors.Is(err, ErrBusy):
		f.log().Warn("release: tried again later", "source", f.Source.String(), "error", err)
	default:
		f.log().Info("release: waits", "source", f.Source.String(), "why", err.Error())
	}
	f.event(e)
}

func (f *Follower) event(e Event) {
	if f.Events != nil {
		e.Time = time.Now()
		f.Events(e)
	}
}

// look asks the source, and tries what it offers.
func (f *Follower) look(ctx context.Context) error {
	offer, m, _, err := offered(ctx, f.Source, f.Trust, f.tag)
	switch {
	case errors.Is(err, ErrUnchanged) && f.last == nil:
		return err
	case errors.Is(err, ErrUnchanged):
		offer = *f.last // it waits
	case err != nil:
		return err
	case sha256.Sum256(offer.Manifest) != f.done:
		f.until = m.Expires
	}
	sum := sha256.Sum256(offer.Manifest)
	f.tag = offer.Tag
	if sum == f.done && !time.Now().Before(f.until) {
		return ErrUnchanged
	}
	f.last = &offer
	err = f.try(ctx, offer)
	var later *laterError
	if err == nil || errors.Is(err, ErrUnchanged) || errors.Is(err, ErrNotAccepted) && !errors.As(err, &later) {
		f.last, f.done = nil, sum
		if errors.Is(err, errExpired) {
			f.last = &offer
		} else {
			f.until = time.Time{}
		}
	}
	return err
}

// now returns nil if a release can be started now. The hosts of a wave, and those whose window opens, do not all come at
// that moment: each has a place of its own in the time between two questions.
func (f *Follower) now(m Manifest) error {
	now, place := time.Now(), share(f.host, f.Trust.Name)
	begins, ok := m.waveOf(f.host, f.Canary)
	if !ok {
		return &laterError{now.Add(f.every()), "this host is in none of its waves"}
	}
	if !begins.IsZero() {
		begins = begins.Add(time.Duration(place * float64(f.every())))
	}
	if now.Before(begins) {
		return &laterError{begins, "the wave of this host"}
	}
	if opens := f.Window.next(now); now.Before(opens) {
		room := min(f.every(), f.Window.length()/2)
		return &laterError{opens.Add(time.Duration(place * float64(room))), "outside of " + f.Window.String()}
	}
	return nil
}

// try stages a release and tries it.
func (f *Follower) try(ctx context.Context, offer Offer) error {
	store, a, err := f.opened(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	if _, err := store.recover(ctx, a, f.events()); err != nil {
		return err
	}
	o := f.Stage
	o.Tag, o.Follow, o.Allow = "", true, f.now
	j := store.job(o, f.Source.String(), f.events())
	r, err := j.stage(ctx, &known{f.Source, offer}, f.Trust)
	if err != nil {
		return j.end(err)
	}
	if store.Current() == r.ID { // a way back does not lead here: it holds followers
		if st, err := a.status(ctx); err == nil && st.release == r.ID {
			j.tell(Event{Kind: EventUnchanged, Text: fmt.Sprintf("process %d runs it already", st.pid)})
			return ErrUnchanged
		}
	}
	t := store.trial(f.events(), "follow", r)
	out, err := t.try(context.WithoutCancel(ctx), a) // the process of this follower can be the one that is replaced
	f.outcome = out
	switch {
	case err != nil:
		return err
	case out.OK:
		f.log().Info("release: current", "release", r.ID, "source", f.Source.String())
		if _, err := store.prune(ctx, a, f.keep(), f.events()); err != nil && ctx.Err() == nil {
			f.log().Warn("release: old releases stay", "error", err)
		}
		return nil
	}
	if out.Kind == control.KindRefused { // nothing was started
		return &laterError{time.Now().Add(minBackoff), out.Reason}
	}
	f.log().Error("release: taken back", "release", r.ID, "outcome", out.Kind, "reason", out.Reason, "exit", out.Exit, "stderr", out.Stderr)
	if st, err := store.State(); out.Kind == control.KindTimedOut && err == nil && st.Late[r.SHA256] > 0 {
		return &laterError{time.Now().Add(lateAgain), out.Reason}
	}
	err = refuse("%s: %s: %s", r.ID, out.Kind, out.Reason)
	f.said = err.Error() // just now, and with more
	return err
}

func (f *Follower) keep() int {
	if f.Keep == 0 {
		return DefaultKeep
	}
	return f.Keep
}

// opened returns the app that runs, and its store.
func (f *Follower) opened(ctx context.Context) (*Store, app, error) {
	if f.open != nil {
		return f.open(ctx)
	}
	c, st, err := f.Find(ctx)
	if err != nil {
		if noApp(err) {
			err = fmt.Errorf("%w: %w", ErrNoApp, err)
		}
		return nil, nil, err
	}
	dir, program, err := Locate(st.Program)
	if err != nil {
		return nil, nil, err
	}
	s, err := Open(dir, program)
	if err != nil {
		return nil, nil, err
	}
	return s, s.appOf(c), nil
}

// events tells of the steps that say something new.
func (f *Follower) events() func(Event) {
	return func(e Event) {
		switch e.Kind {
		case EventRefused, EventHeld: // as say has it
		default:
			if f.Events != nil {
				f.Events(e)
			}
		}
	}
}

// known is a source whose offer is here already.
type known struct {
	Source
	offer Offer
}

// Head returns what is known.
func (k *known) Head(context.Context, string) (Offer, error) { return k.offer, nil }

// machineID names this host among others. It is never told to anybody.
func machineID() string {
	for _, path := range []string{"/etc/machine-id", "/etc/hostid", "/var/lib/dbus/machine-id"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(f, 256))
		_ = f.Close()
		if err == nil && len(b) > 0 {
			return string(b)
		}
	}
	name, _ := os.Hostname()
	return name
}

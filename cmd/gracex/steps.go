package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// steps shows a deploy.
type steps struct {
	out, err *screen
	progress *progress
	stdout   io.Writer // for the objects of --json; nil without it
	trying   string    // the release that the app is asked for
	now      string    // the release that becomes current
	stays    string    // the release that stays current, because the deploy came to nothing
	began    time.Time
	fetching time.Time // when the first bytes came
}

func newSteps(c *cobra.Command, asJSON bool) *steps {
	s := &steps{out: newScreen(c.OutOrStdout()), err: newScreen(c.ErrOrStderr()), began: time.Now()}
	if asJSON {
		s.stdout, s.out = s.out, newScreen(io.Discard)
	}
	s.progress = newProgress(s.out)
	return s
}

// event shows one step.
func (s *steps) event(e release.Event) {
	switch e.Kind {
	case release.EventTrying:
		s.trying = e.Release
	case release.EventCurrent:
		s.now = e.Release
	}
	if s.stdout != nil {
		_ = control.WriteJSON(s.stdout, e)
		return
	}
	switch e.Kind {
	case release.EventFetching:
		s.fetched(e)
	case release.EventStep:
		s.step(*e.Step)
	case release.EventRefused, release.EventHeld, release.EventWaiting: // the error says it
	case release.EventUnchanged:
		if e.Release == "" {
			s.line(e.Kind, "the source offers nothing new")
			return
		}
		s.line("current", e.Release+": "+e.Text)
	case release.EventBad: // the outcome says why
		s.line("bad", e.Release+" is not tried again; --again does")
	case release.EventWarning:
		s.progress.end()
		_ = s.err.line("%s: %s", s.err.paint(red, "warning"), control.Printable(e.Text))
	default:
		text := e.Text
		if text == "" {
			text = e.Release
		} else if e.Release != "" && e.Kind != release.EventOffered {
			text = e.Release + ": " + text
		}
		s.line(e.Kind, text)
	}
}

func (s *steps) line(step, text string) {
	s.progress.end()
	_ = s.out.line("%-10s %s", step, control.Printable(text))
}

// step shows a step of the upgrade.
func (s *steps) step(e control.Event) {
	if e.Step == control.StepWarning {
		s.event(release.Event{Kind: release.EventWarning, Text: e.Text})
		return
	}
	s.progress.event(e)
}

const mebi = 1 << 20

// fetched moves the bar of a download.
func (s *steps) fetched(e release.Event) {
	if s.fetching.IsZero() {
		s.fetching = time.Now()
	}
	size := fmt.Sprintf("%.1f MiB", float64(e.Done)/mebi)
	if e.Total > 0 {
		size = fmt.Sprintf("%.1f of %.1f MiB", float64(e.Done)/mebi, float64(e.Total)/mebi)
	}
	if e.Done == e.Total {
		s.line(e.Kind, fmt.Sprintf("%.1f MiB in %v", float64(e.Done)/mebi, time.Since(s.fetching).Round(time.Millisecond)))
		return
	}
	s.progress.end()
	s.out.moving(fmt.Sprintf("%-10s %s %s", e.Kind, bar(float64(e.Done), float64(e.Total), barWidth), size))
}

// cut says what goes on if ctx has ended what it was about; else it returns err.
func (s *steps) cut(ctx context.Context, store *release.Store, limit time.Duration, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	why := "interrupted"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = fmt.Sprintf("it is not over within %v", limit)
	}
	if s.trying == "" || s.now != "" {
		return &exitError{code: control.ExitStatus(ctx.Err()), err: fmt.Errorf("%s; nothing was started", why)}
	}
	return &exitError{code: control.ExitStatus(ctx.Err()), err: fmt.Errorf("%s; the upgrade to %s goes on in the app, and the next start gets %s until \"gracex recover\", or the next deploy, has seen that it is good",
		why, s.trying, store.Current())}
}

// kept says which releases there is a way back to.
func (s *steps) kept(store *release.Store) {
	st, err := store.State()
	current := store.Current()
	good := slices.DeleteFunc(st.Good, func(id string) bool { return id == current })
	if err != nil || len(good) == 0 || s.stdout != nil {
		return
	}
	s.line("kept", fmt.Sprintf("%s; gracex back returns to %s", strings.Join(good, ", "), good[len(good)-1]))
}

// report is the last object of --json.
type report struct {
	Kind    string          `json:"kind"` // "outcome"
	Time    time.Time       `json:"time"`
	Release string          `json:"release,omitempty"` // that is current now, if the deploy has made it so
	Report  *control.Report `json:"outcome"`
}

// finish shows what has become of it, and returns an error with the exit status.
func (s *steps) finish(o control.Outcome, err error) error {
	s.progress.end()
	if errors.Is(err, release.ErrUnchanged) { // which an event has said
		o, err = control.Outcome{OK: true}, nil
	}
	code := codeOf(err)
	if err == nil {
		code = o.ExitStatus()
	}
	if s.stdout != nil {
		r := control.Report{Outcome: o, ExitStatus: code}
		if err != nil {
			r.Outcome.OK, r.Reason = code == control.ExitOK, plainText(err.Error())
			if r.Kind == "" {
				r.Kind = control.KindUnknown
			}
		}
		if o.OK && o.NewPID == 0 && r.Kind == control.KindUpgraded {
			r.Kind = release.EventUnchanged
		}
		if werr := control.WriteJSON(s.stdout, report{"outcome", time.Now(), s.now, &r}); werr != nil || code == control.ExitOK {
			return werr
		}
		return &exitError{code: code, err: errors.New(r.Reason), silent: true}
	}
	switch {
	case err != nil:
		return err
	case o.OK && o.NewPID != 0:
		return s.out.line("%s", s.out.paintTo(green, o.String(), " "))
	case o.OK:
		return nil
	}
	_ = s.err.line("%s", s.err.paintTo(red, o.String(), ":"))
	after := o.After()
	if s.stays != "" {
		after = fmt.Sprintf("%s serves on, and the next start gets %s", control.Process(o.OldPID, o.OldVersion), control.Printable(s.stays))
	}
	_ = s.err.line("%s%s", o.Details(), after)
	return &exitError{code: code, err: errors.New(o.Reason), silent: true}
}

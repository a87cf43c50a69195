package core

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestStartError_EndsWithTheLastLines(t *testing.T) {
	t.Parallel()
	err := &StartError{Path: "/srv/app", PID: 7, Exit: "exit status 1", Ran: 12 * time.Millisecond, File: "mode -rwxr-xr-x", Err: errEnded}
	short := "gracex: the new process /srv/app (pid 7): it ended before it was ready (exit status 1 after 12ms) [mode -rwxr-xr-x]"
	if err.Error() != short {
		t.Errorf("%v", err)
	}
	err.Stderr = []string{`no "licence"`, "", "\tat main.go"}
	if want := short + "; the last that it wrote to stderr:\n\t| no \"licence\"\n\t| \n\t| \tat main.go"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if !errors.Is(err, errEnded) {
		t.Error("the cause is not found")
	}
}

// TestLogFailed_LinesAreAnAttribute, there once, which both handlers write in a form that shows where a line
// ends.
func TestLogFailed_LinesAreAnAttribute(t *testing.T) {
	t.Parallel()
	start := &StartError{Path: "/srv/app", Reason: "bad", Stderr: []string{`a "b"`, "c"}}
	text := func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }
	for name, tt := range map[string]struct {
		handler func(*bytes.Buffer) slog.Handler
		err     error
		want    string
	}{
		"text": {text, start,
			`error="gracex: the new process /srv/app could not be started: bad" stderr="a \"b\"\nc"`},
		"JSON": {func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }, start,
			`"error":"gracex: the new process /srv/app could not be started: bad","stderr":["a \"b\"","c"]}`},
		"wrapped": {text, fmt.Errorf("x: %w; y", start),
			`error="x: gracex: the new process /srv/app could not be started: bad; y" stderr="a \"b\"\nc"`},
		"another": {text, ErrVetoed, `error="gracex: upgrade vetoed"`},
	} {
		var b bytes.Buffer
		slog.New(tt.handler(&b)).Error("failed", logFailed(tt.err)...)
		if got := strings.TrimSpace(b.String()); !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestNews_IsOneLineThatSaysMost, with nothing twice, and no colon at its end.
func TestNews_IsOneLineThatSaysMost(t *testing.T) {
	t.Parallel()
	ended := func(lines ...string) error {
		return &StartError{Path: "/srv/app", PID: 7, Exit: "exit status 2", Err: errEnded, Stderr: lines}
	}
	for _, tt := range []struct {
		what string
		err  error
		want string
	}{
		{"failed", ended(), "failed: it ended before it was ready (exit status 2)"},
		{"failed", ended("starts", "listen tcp :80: bind: address already in use", ""),
			"failed: it ended before it was ready (exit status 2): listen tcp :80: bind: address already in use"},
		{"failed", ended("starts", "panic: a bug", "", "goroutine 1 [running]:"), "failed: it ended before it was ready (exit status 2): panic: a bug"},
		{"failed", because(ErrVetoed, errors.New("not on a Friday")), "failed: vetoed: not on a Friday"},
		{"rolled back", because(ErrRolledBack, ended()), "rolled back: it ended before it was ready (exit status 2)"},
		{"rolled back", rolledBack(&operatorError{"slow"}), "rolled back by the operator: slow"},
		{"rolled back", rolledBack(&operatorError{}), "rolled back by the operator"},
	} {
		if got := news(tt.what, tt.err); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if err := rolledBack(&operatorError{"slow"}); !errors.Is(err, ErrRolledBack) || err.Error() != "gracex: upgrade rolled back by the operator: slow" {
		t.Errorf("%v", err)
	}
}

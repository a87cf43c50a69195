package ocisource

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/fetch"
)

// error is what the caller of the source gets.
func (s *source) error(err error) error { return s.waiting(0, err) }

// waiting is an error after which the registry wants to be left alone for a while.
func (s *source) waiting(wait time.Duration, err error) error {
	if errors.Is(err, fetch.ErrTooLarge) {
		return fmt.Errorf("%w: %s: %w", release.ErrNotAccepted, s.of, err)
	}
	err = s.explain(err)
	if wait > 0 {
		return &release.WaitError{Wait: wait, Err: fmt.Errorf("%w: %s: %w; it wants to be asked again in %v", release.ErrNotTried, s.of, err, wait)}
	}
	return fmt.Errorf("%w: %s: %w", release.ErrNotTried, s.of, err)
}

// explain names the remedy.
func (s *source) explain(err error) error {
	login := "docker login"
	if s.repo != nil {
		login += " " + s.repo.Reference.Registry
	}
	var e *errcode.ErrorResponse
	switch {
	case errors.As(err, &e):
		text := fmt.Sprint(e.StatusCode, " ", http.StatusText(e.StatusCode))
		if len(e.Errors) > 0 {
			text += ": " + e.Errors.Error()
		}
		switch e.StatusCode {
		case http.StatusUnauthorized:
			text += "; it wants a password (" + login + "), or another one"
		case http.StatusForbidden:
			text += "; the password gives no right to pull it (" + login + ")"
		case http.StatusTooManyRequests:
			text += "; a registry allows more to a user that it knows (" + login + ")"
		case http.StatusNotFound:
			text += "; there is no such repository or tag"
		}
		return failure{fetch.Printable(text), err}
	case errors.Is(err, errdef.ErrNotFound):
		return failure{"there is no such repository or tag", err}
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return failure{"it wants a password: " + login, err}
	}
	return fetch.Explain(err)
}

// failure is an error with a text of its own.
type failure struct {
	text string
	error
}

func (f failure) Error() string { return f.text }
func (f failure) Unwrap() error { return f.error }

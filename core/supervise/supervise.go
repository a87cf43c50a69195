// Package supervise keeps a program that uses package core running under one process
// number for life, for whoever must not lose it: a container's pid 1, supervisord, a shell.
//
// The supervisor is a small process in which no code of the program runs. It starts the
// program as its worker and has duplicates of the worker's listeners. An upgrade is the
// worker's own doing, as without a supervisor: it starts the next worker beside itself,
// with probation, way back and connections that move; the supervisor passes the signal on.
// If a worker crashes the supervisor starts another one, with the listeners: connections
// wait in their queues meanwhile and none is refused. docs/supervise.md has the details.
//
// A program gets it by core.WithSupervision, any other way of starting by "gracex run".
package supervise

import (
	"errors"
	"log/slog"
	"time"
)

const (
	// DefaultMaxFailures is how often in a row a worker may crash, when
	// Config.MaxFailures is not given.
	DefaultMaxFailures = 10
	// DefaultMinBackoff is the pause after the second crash in a row when
	// Config.MinBackoff is not given. It doubles with each one more.
	DefaultMinBackoff = 100 * time.Millisecond
	// DefaultMaxBackoff is the longest pause when Config.MaxBackoff is not given.
	DefaultMaxBackoff = 5 * time.Second
	// Stable is how long a worker has to serve for its crash to be the first in a row.
	Stable = 10 * time.Second
)

// Config says what to supervise and how.
type Config struct {
	// Argv is the program and its arguments. A name without a slash is looked up in
	// PATH, any other is relative to the working directory, each time anew: what runs is
	// what has been deployed.
	Argv []string

	// MaxFailures is how many crashes in a row are answered by another worker; after one more
	// the supervisor gives up. Zero: DefaultMaxFailures. Negative: it never gives up. A
	// program whose very first worker ends before it has served is given up at once.
	MaxFailures int

	// MinBackoff is the pause before the third worker in a row, and doubles up to
	// MaxBackoff; the second one is started at once. Zero or less: the defaults.
	MinBackoff, MaxBackoff time.Duration

	// Log is where starts, crashes and the end are logged. Nil: nowhere.
	Log *slog.Logger
}

// ErrUnsupported is returned on systems without fork, such as Windows.
var ErrUnsupported = errors.New("gracex: supervision is not supported on this system")

func (c Config) withDefaults() Config {
	if c.MaxFailures == 0 {
		c.MaxFailures = DefaultMaxFailures
	}
	if c.MinBackoff <= 0 {
		c.MinBackoff = DefaultMinBackoff
	}
	if c.MaxBackoff <= 0 {
		c.MaxBackoff = DefaultMaxBackoff
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// backoff is the pause after so many crashes in a row.
func (c Config) backoff(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	d := c.MinBackoff
	for range failures - 2 {
		if d *= 2; d >= c.MaxBackoff || d <= 0 {
			return c.MaxBackoff
		}
	}
	return min(d, c.MaxBackoff)
}

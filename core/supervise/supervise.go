// Package supervise runs a program that uses package core under one process number for life, and starts it again
// after a crash.
//
// The supervisor is a small process in which no code of the program runs. It starts the program
// as its worker and keeps duplicates of the worker's listeners. The worker upgrades itself as it
// does without a supervisor. It starts the next worker beside itself, with a probation, a way
// back and connections that move. The supervisor only passes the signal on.
//
// If a worker crashes, the supervisor starts another one with the same listeners. Meanwhile connections wait
// in the listeners' queues, and none is refused. docs/supervise.md has the details.
//
// A program that somebody watches needs nothing for that: it is its own supervisor from its first upgrade on (Embed),
// and nothing else when it has drained (Resume). By core.Supervise, or the command "gracex run", it has a supervisor
// from the first second on.
package supervise

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/internal/logging"
)

const (
	// DefaultMaxFailures is how many crashes in a row the supervisor answers with another worker
	// if Config.MaxFailures is zero.
	DefaultMaxFailures = 10
	// DefaultMinBackoff is the pause after the second crash in a row if Config.MinBackoff is not
	// given. It doubles with each further crash.
	DefaultMinBackoff = 100 * time.Millisecond
	// DefaultMaxBackoff is the longest pause if Config.MaxBackoff is not given.
	DefaultMaxBackoff = 5 * time.Second
	// Stable is how long a worker has to serve before the supervisor counts crashes in a row from one again.
	Stable = 10 * time.Second
	// DefaultSoak is how long a release is watched after it took over if Config.Soak is zero.
	DefaultSoak = 10 * time.Minute
	// SoakCrashes is how many crashes of a release within its soak, each within Stable of the start of its process,
	// make the supervisor start the release before it.
	SoakCrashes = 3
)

// Config says which program to supervise, and how.
type Config struct {
	// Argv is the program and its arguments. A name without a slash is looked up in PATH. Any
	// other name is relative to the working directory. The supervisor looks again at each start,
	// so it runs the program that is deployed then.
	Argv []string

	// Own says that the program is the one that this process executes. It is found even if Argv[0] is another name
	// for it, which a shell has chosen (exec -a).
	Own bool

	// Dir is the working directory of workers. Empty means that of this process, by the name that Argv[0] or $PWD
	// has for it, so that a symlink in it is followed anew. A worker that serves says how it was started itself, and
	// the supervisor starts the next one likewise: with that directory, arguments and environment. A worker that runs
	// as another user than root and the supervisor's is not asked.
	Dir string

	// MaxFailures is how many crashes in a row the supervisor answers with another worker. It gives up after
	// one more. Zero means DefaultMaxFailures, and a negative number means that it never gives up. If the
	// very first worker ends before it has served, the supervisor gives up at once.
	MaxFailures int

	// MinBackoff is the pause before the third worker in a row. It doubles up to MaxBackoff. The
	// second worker is started at once. Zero or less means the defaults.
	MinBackoff, MaxBackoff time.Duration

	// Soak is how long a release is watched from the end of its probation on. It is for a program that is started
	// through a symlink current to a directory in releases (core.Upgrader.UpgradeTo), on Linux, by a worker that runs as
	// root or the supervisor's user. A release that crashes SoakCrashes times meanwhile is not started any more as long
	// as current leads to it, but the release that it has replaced. Zero means DefaultSoak, and a negative one none.
	Soak time.Duration

	// WentBack is called when that happens, once for each bad release, with the names of both: to switch current back,
	// and to keep the bad one from being deployed again. The supervisor does neither. It starts good meanwhile, and does
	// not wait for WentBack. The error is logged. Nil calls nothing.
	WentBack func(bad, good string) error

	// Signals are what the program takes signals for.
	Signals Signals

	// More are further signals that the program has hooks for. They are passed on as they are.
	More []os.Signal

	// HungUp reports whether a signal says that the terminal was closed, which is a stop. Nil means never.
	HungUp func(os.Signal) bool

	// Log is the logger for starts, crashes and the end. Nil logs nothing.
	Log *slog.Logger
}

// Signals are the signals for an upgrade, a stop and the reopening of logs. The zero Signals are SIGHUP and
// SIGUSR2, then SIGTERM, SIGINT and SIGQUIT, and SIGUSR1.
type Signals struct {
	Upgrade, Stop, Reopen []os.Signal
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
	if c.Soak == 0 {
		c.Soak = DefaultSoak
	}
	if c.Signals.none() {
		c.Signals = defaultSignals()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = logging.Readable(c.Log)
	return c
}

// none reports whether no signals are given.
func (s Signals) none() bool { return len(s.Upgrade)+len(s.Stop)+len(s.Reopen) == 0 }

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

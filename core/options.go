package core

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/internal/program"
)

const (
	// DefaultDrainTimeout is how long a generation may take to finish what is
	// left when WithDrainTimeout is not given.
	DefaultDrainTimeout = 30 * time.Second
	// DefaultReadyTimeout is how long a new process may take to become ready
	// when WithReadyTimeout is not given.
	DefaultReadyTimeout = 60 * time.Second
	// DefaultProbation is how long a new process is on probation when WithProbation is
	// not given.
	DefaultProbation = 3 * time.Second
	// DefaultProbationShare is the share of the kept connections that moves to a new
	// process on probation when WithProbationShare is not given.
	DefaultProbationShare = 0.1
	// DefaultMaxDraining is how many generations may drain at a time when
	// WithMaxDraining is not given.
	DefaultMaxDraining = 3
)

// Option changes how a server is run. Every adapter takes the same ones. An
// option given twice: hooks add up, the last of the others holds.
type Option func(*config)

type config struct {
	preFork      []func(context.Context) error
	postFork     []func(context.Context, int)
	preStopDelay time.Duration
	drainTimeout time.Duration
	onDrainLimit []func(Remaining)
	readyTimeout time.Duration
	readyChecks  []func(context.Context) error
	reopen       []func()
	probation    time.Duration
	share        float64
	maxDraining  int
	handoff      bool
	pidFile      string
	control      controlConfig
	version      string
	log          *slog.Logger
	signals      Signals
	superviseErr error
	onSignal     []signalHook
	signalErr    error
	keepAlive    *net.KeepAliveConfig // nil: Go's own
}

// stopTime is how long a stop takes at the most.
func (c *config) stopTime() time.Duration { return c.preStopDelay + c.drainTimeout }

func newConfig(opts []Option) config {
	c := config{
		drainTimeout: DefaultDrainTimeout,
		readyTimeout: DefaultReadyTimeout,
		probation:    DefaultProbation,
		share:        DefaultProbationShare,
		maxDraining:  DefaultMaxDraining,
		handoff:      true,
		log:          slog.New(slog.DiscardHandler),
		signals:      DefaultSignals(),
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	if c.version == "" {
		c.version = program.Version()
	}
	return c
}

// OnPreFork adds a hook that runs in the old process before the new one is
// started, in the order given. An error vetoes the upgrade (ErrVetoed). The
// context ends when the upgrade is given up and after the ready timeout.
func OnPreFork(hook func(context.Context) error) Option {
	return func(c *config) {
		if hook != nil {
			c.preFork = append(c.preFork, hook)
		}
	}
}

// OnPostFork adds a hook that runs in the old process once the new one has been
// started, with its process number. The upgrade goes on when the hook returns, or
// at the ready timeout; the new process may still fail afterwards.
func OnPostFork(hook func(ctx context.Context, pid int)) Option {
	return func(c *config) {
		if hook != nil {
			c.postFork = append(c.postFork, hook)
		}
	}
}

// WithPreStopDelay sets how long a process that is asked to stop goes on accepting
// and serving, while Readiness already answers 503: the time for a load balancer to
// see that, which is its interval of checks times the failures it waits for, and to
// send nothing more. Then the drain begins, whose timeout comes on top. A second stop
// signal ends the delay, a third one the drain. The delay is for every clean stop, also
// by Upgrader.Stop and http.Server.Shutdown, and not for an upgrade: there the next
// generation accepts. Left out, zero or less: none.
func WithPreStopDelay(d time.Duration) Option {
	return func(c *config) { c.preStopDelay = max(d, 0) }
}

// WithDrainTimeout sets how long a process that stops or has handed over may
// take to finish its requests and hijacked connections. What is left then is
// cut and counted. Left out: DefaultDrainTimeout. Zero or less: cut at once.
func WithDrainTimeout(d time.Duration) Option {
	return func(c *config) { c.drainTimeout = max(d, 0) }
}

// OnDrainTimeout adds a hook that runs when the drain's deadline has come with
// work left, before that work is cut. All of them together have 5 s.
func OnDrainTimeout(hook func(Remaining)) Option {
	return func(c *config) {
		if hook != nil {
			c.onDrainLimit = append(c.onDrainLimit, hook)
		}
	}
}

// WithReadyTimeout bounds each of: the OnPreFork hooks, the ready checks, and
// the time from the start of a new process until it is ready. Left out, zero or
// less: DefaultReadyTimeout.
func WithReadyTimeout(d time.Duration) Option {
	return func(c *config) {
		if d <= 0 {
			d = DefaultReadyTimeout
		}
		c.readyTimeout = d
	}
}

// WithReadyCheck adds a check that must pass before this process accepts its
// first connection: a database that answers, a warm cache. An error makes the
// start fail, and an upgrade leaves the old process serving.
func WithReadyCheck(check func(context.Context) error) Option {
	return func(c *config) {
		if check != nil {
			c.readyChecks = append(c.readyChecks, check)
		}
	}
}

// WithProbation sets how long this process can take the service back from the new one
// that replaces it. In that time the new one accepts, and is current; this one keeps
// its listeners, without accepting, and the connections that it has, but for a share
// (WithProbationShare). If the new process ends, fails its ready checks, which are run
// again and again, does not answer for 5 s, or rejects itself (Reject), this process
// accepts again and Upgrade returns ErrRolledBack. What is lost then is what ran
// inside a process that has died, and nothing otherwise. When the time is over
// this process drains. Upgrades that are asked for meanwhile come after it.
// Left out: DefaultProbation. Zero or less: none; the new process has passed when it has
// acknowledged that it serves. A program that speaks only the plain protocol never has one.
func WithProbation(d time.Duration) Option {
	return func(c *config) { c.probation = max(d, 0) }
}

// WithProbationShare sets which share of the kept plaintext HTTP/1 connections, 0 to 1,
// moves to a new process on probation at once; the rest follows when that is over. It
// is what gives the new process traffic where a proxy holds all connections, and what
// a crash can hit. A share above 0 is at least one connection. Left out:
// DefaultProbationShare.
func WithProbationShare(share float64) Option {
	return func(c *config) {
		c.share = 0
		if share > 0 { // and a number
			c.share = min(share, 1)
		}
	}
}

// WithMaxDraining sets how many old generations, each a process, there may be beside
// this one when it is current. Beyond that the oldest is cut, counted and logged, as at
// its deadline. Left out: DefaultMaxDraining. Less than 1: any number.
func WithMaxDraining(n int) Option {
	return func(c *config) { c.maxDraining = n }
}

// WithConnectionHandoff says whether established connections move between this
// process and the others of an upgrade: idle plaintext HTTP/1 connections, and those
// that the program passes to HandOff. Left out: true. Both processes must agree, or
// the connections stay with the old one, which asks their clients to reconnect.
//
// For a connection that has moved, the new process calls ConnContext and ConnState
// anew, with its next request; in the old one ConnState hears that it is closed.
// Switch it off for a program whose requests depend on what an earlier one has left
// with the connection (NTLM, a limit for each connection).
func WithConnectionHandoff(on bool) Option {
	return func(c *config) { c.handoff = on }
}

// WithKeepAlive sets the keep-alive probes of TCP connections that are accepted. It is for every generation: a listener that
// was inherited does not know of the net.ListenConfig that it was first opened with. Connections that move keep what they have. Left
// out: what the listener says, which is Go's default but for one that the program has opened itself.
func WithKeepAlive(k net.KeepAliveConfig) Option {
	return func(c *config) { c.keepAlive = &k }
}

// WithPIDFile names a file that always holds the process number of the current
// generation. It is replaced by rename, and removed after a stop. Left out or
// empty: no file.
func WithPIDFile(path string) Option {
	return func(c *config) { c.pidFile = path }
}

// ControlSocketOff as the path of WithControlSocket means that there is no socket.
const ControlSocketOff = "off"

// WithControlSocket names the unix socket through which an operator sees how the app
// is, starts an upgrade and watches it to its outcome, takes it back and stops the
// service: with the gracex command, package control, or curl (docs/control.md). The
// socket has mode 0600, and only this user and root may use it; a directory that does
// not exist is made with mode 0700. It goes from generation to generation. One that
// can't be opened makes Ready fail. Left out: control.DefaultPath if there is a
// pid file, and if that can be opened; otherwise none. Empty or ControlSocketOff:
// none.
func WithControlSocket(path string) Option {
	return func(c *config) {
		if path == ControlSocketOff {
			path = ""
		}
		c.control = controlConfig{path: path, given: true}
	}
}

// WithVersion sets what this version of the program calls itself to its operators: in
// the status of the control socket, and in Result. Left out or empty: the main module's
// version in the build information, or the commit with "+dirty" if files were changed.
func WithVersion(v string) Option {
	return func(c *config) { c.version = program.ShortVersion(v) }
}

// WithLogger sets where the life of the process is logged: upgrades, their
// failures with the reason, what a drain cut, the ledger. Left out or nil:
// nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.log = l
	}
}

// Signals says what a process does on which signal.
type Signals struct {
	Upgrade []os.Signal // start the next generation and hand over
	Stop    []os.Signal // stop gracefully; a second one cuts the drain short
	Reopen  []os.Signal // run the OnReopen hooks
}

// WithSignals replaces DefaultSignals. The zero Signals turns signal handling
// off: the program calls Upgrade and Stop itself. Without SIGTERM among Stop a new
// version that speaks only the plain protocol can't take over gracefully: that
// signal is its way to say that it is ready.
func WithSignals(s Signals) Option {
	return func(c *config) { c.signals = s }
}

// OnReopen adds a hook for the Reopen signals (SIGUSR1): the place to reopen log
// files after they were rotated.
func OnReopen(hook func()) Option {
	return func(c *config) {
		if hook != nil {
			c.reopen = append(c.reopen, hook)
		}
	}
}

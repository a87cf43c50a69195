package core

import (
	"context"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
)

const (
	// DefaultDrainTimeout is how long a generation can take to finish its work if
	// WithDrainTimeout is not given.
	DefaultDrainTimeout = 30 * time.Second
	// DefaultReadyTimeout is how long a new process can take to become ready if WithReadyTimeout
	// is not given.
	DefaultReadyTimeout = 60 * time.Second
	// DefaultProbation is how long a new process is on probation if WithProbation is not given.
	DefaultProbation = 3 * time.Second
	// DefaultProbationShare is the share of the kept connections that moves to a new process on
	// probation if WithProbationShare is not given.
	DefaultProbationShare = 0.1
	// DefaultMaxDraining is how many generations can drain at a time if WithMaxDraining is not
	// given.
	DefaultMaxDraining = 3
)

// Option changes how a server is run. Every adapter takes the same options. If an option is given
// twice, the last one applies. Hooks and checks add up.
//
// An option that is left out means its default. Zero or less means none: a timeout or a maximum of
// zero is no limit, and a delay, a probation or a share of zero does not take place.
type Option func(*config)

type config struct {
	preFork      []func(context.Context) error
	postFork     []func(context.Context, int)
	preStopDelay time.Duration
	drainTimeout time.Duration
	onDrainLimit []func(Remaining)
	onEnd        []func(context.Context)
	readyTimeout time.Duration
	readyChecks  []func(context.Context) error
	reopen       []func()
	probation    time.Duration
	share        float64
	maxDraining  int
	handoff      bool
	tlsHandoff   bool
	tickets      bool
	pidFile      string
	control      controlConfig
	version      string
	log          *slog.Logger
	signals      Signals
	workDir      string // empty: that of the first start
	workDirErr   error
	trusted      bool
	trustedErr   error
	operators    []int
	operatorsErr error
	environment  func([]string) []string // nil: it stays
	onSignal     []signalHook
	signalErr    error
	work         []func(context.Context) error
	keepAlive    *net.KeepAliveConfig // nil: Go's own
	also         []givenServer
	serverName   string

	onEvent        []func(Event)
	upgradeContext func(begun Event) string // nil: none
}

// stopTime is how long a stop takes at the most.
func (c *config) stopTime() time.Duration { return timing.Add(c.preStopDelay, c.drainTimeout) }

func newConfig(opts []Option) config {
	c := config{
		drainTimeout: DefaultDrainTimeout,
		readyTimeout: DefaultReadyTimeout,
		probation:    DefaultProbation,
		share:        DefaultProbationShare,
		maxDraining:  DefaultMaxDraining,
		handoff:      true,
		tickets:      true,
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

// OnPreFork adds a hook that runs in the old process before the new one is started. Hooks run in
// the order in which they were added. An error vetoes the upgrade (ErrVetoed). The context ends
// when the upgrade is given up and at the ready timeout.
func OnPreFork(hook func(context.Context) error) Option {
	return func(c *config) {
		if hook != nil {
			c.preFork = append(c.preFork, hook)
		}
	}
}

// OnPostFork adds a hook that runs in the old process after the new one has been started. It
// receives the new process's number. The upgrade goes on when the hook has returned, or at the
// ready timeout. The new process can still fail afterwards.
func OnPostFork(hook func(ctx context.Context, pid int)) Option {
	return func(c *config) {
		if hook != nil {
			c.postFork = append(c.postFork, hook)
		}
	}
}

// WithPreStopDelay sets how long a process that is asked to stop still accepts and serves while
// Readiness already answers 503. Set it to at least the load balancer's check interval times its
// failure threshold. The drain begins afterwards, with its whole timeout. A second stop signal
// ends the delay, and a third one the drain.
//
// The delay applies to every graceful stop, including Upgrader.Stop and http.Server.Shutdown. It
// does not apply to an upgrade, because the next generation accepts. Left out, zero or less, it is
// none.
func WithPreStopDelay(d time.Duration) Option {
	return func(c *config) { c.preStopDelay = max(d, 0) }
}

// WithDrainTimeout sets how long a process that stops or has handed over can take to finish its
// requests and hijacked connections. Work that is left then is cut and counted. Left out, it is
// DefaultDrainTimeout. Zero or less is no limit: the process waits for every request and for every
// connection that does not move, however long that takes.
func WithDrainTimeout(d time.Duration) Option {
	return func(c *config) { c.drainTimeout = timing.Limit(d) }
}

// OnDrainTimeout adds a hook that runs if work is left at the drain's deadline, before that work
// is cut. All hooks together have 5 s.
func OnDrainTimeout(hook func(Remaining)) Option {
	return func(c *config) {
		if hook != nil {
			c.onDrainLimit = append(c.onDrainLimit, hook)
		}
	}
}

// OnEnd adds a hook that runs when the drain of this process has ended, after a stop and after a handover, before
// Run returns. Close there what the program has opened: a process that supervises the next one (docs/supervise.md)
// does not return from Run. Functions of WhileCurrent have returned then, or were cut. Hooks run in the order in which
// they were added, and have 4 s together, at which the context ends. They do not run in a process that is killed.
func OnEnd(hook func(context.Context)) Option {
	return func(c *config) {
		if hook != nil {
			c.onEnd = append(c.onEnd, hook)
		}
	}
}

// WithReadyTimeout bounds three things separately: the OnPreFork hooks, the ready checks, and the
// time from the start of a new process until it is ready. Left out, it is DefaultReadyTimeout. Zero
// or less is no limit: an upgrade to a process that never gets ready goes on until it is given up.
func WithReadyTimeout(d time.Duration) Option {
	return func(c *config) { c.readyTimeout = timing.Limit(d) }
}

// WithReadyCheck adds a check that must pass before this process accepts its first connection,
// for example that a database answers or that a cache is warm. An error makes the start fail. In
// an upgrade the old process then serves on.
func WithReadyCheck(check func(context.Context) error) Option {
	return func(c *config) {
		if check != nil {
			c.readyChecks = append(c.readyChecks, check)
		}
	}
}

// WithProbation sets how long this process can take the service back from the new process that
// replaces it. During that time the new process is current and accepts. This process keeps its
// listeners without accepting. It also keeps its connections, except for a share
// (WithProbationShare).
//
// This process accepts again, and Upgrade returns ErrRolledBack, if the new process ends, fails
// one of its ready checks, which are repeated, does not answer for 5 s, or calls Reject. Only
// requests running in a process that crashed are lost. This process drains when the probation is
// over. An upgrade that is requested meanwhile runs after it.
//
// Left out, it is DefaultProbation. Zero or less is none, and the new process passes
// when it acknowledges that it serves. A program that speaks only the plain protocol has no
// probation.
func WithProbation(d time.Duration) Option {
	return func(c *config) { c.probation = max(d, 0) }
}

// WithProbationShare sets the share of the kept plaintext HTTP/1 connections, from 0 to 1, that
// moves to a new process at the start of its probation. The others follow when the probation is
// over. A share above 0 is at least one connection. Left out, it is DefaultProbationShare. Zero or
// less is none.
//
// The share gives the new process traffic where a proxy holds all connections. Of the kept
// connections, a crash of the new process can hit only this share.
func WithProbationShare(share float64) Option {
	return func(c *config) {
		c.share = 0
		if share > 0 { // and a number
			c.share = min(share, 1)
		}
	}
}

// WithMaxDraining sets how many old generations, each a process, can exist beside this one when
// it is current. Beyond that the oldest one is cut, counted and logged, as at its deadline. Left
// out, it is DefaultMaxDraining. Zero or less is no limit.
func WithMaxDraining(n int) Option {
	return func(c *config) { c.maxDraining = n }
}

// WithConnectionHandoff says whether established connections move between this process and the
// others of an upgrade. These are idle plaintext HTTP/1 connections and those that the program
// passes to Handoff. Left out, it is true. If the two processes disagree, the connections stay
// with the old one, which asks their clients to reconnect.
//
// For a connection that has moved, the new process calls ConnContext and ConnState again, with
// its next request. In the old process ConnState is told that it is closed. Switch this off for a
// program whose requests depend on state that an earlier request left with the connection, such
// as NTLM or a limit for each connection.
func WithConnectionHandoff(on bool) Option {
	return func(c *config) { c.handoff = on }
}

// WithTLSHandoff says whether connections over TLS 1.3 move, too, those with HTTP/2 included. Left out, it is false.
//
// What moves includes the keys of these connections: the new process, which has the certificate's key anyway, gets them
// over the handover socket. docs/security.md says what that means. TLS 1.2, cipher suites other than AES-GCM and clients
// that have changed their key stay, and are asked to reconnect, as all are without this option. It needs WithConnectionHandoff.
// A gRPC server on grpc-go's own transport needs the credentials of grpcx.NewTLS, too.
//
// With it gracex shakes hands for net/http's servers, and net/http and the program see another type of connection:
// ConnContext and ConnState get a *tls.Conn only in the process that has shaken hands, both are called after the handshake
// if it succeeds, and a handler that takes a connection over gets one with the method ConnectionState. The context of a
// tls.ClientHelloInfo has nothing of ConnContext. Request.TLS is what it is without this option, but for
// ExportKeyingMaterial, which can't be called on a connection that has moved.
func WithTLSHandoff(on bool) Option {
	return func(c *config) { c.tlsHandoff = on }
}

// WithTicketKeys says whether the TLS servers of all generations have the same keys for session tickets, so that a client
// which comes back resumes its session, and shakes hands without certificates (docs/tls.md). Left out, it is true. With
// false each generation has keys of its own, and every client shakes hands in full after an upgrade.
//
// A server whose TLSConfig says itself how tickets are sealed keeps that, and so does one that asks for client
// certificates. See TicketKeys for a tls.Config that gracex does not see.
func WithTicketKeys(on bool) Option {
	return func(c *config) { c.tickets = on }
}

// WithKeepAlive sets the keep-alive probes of accepted TCP connections in every generation. An
// inherited listener does not know the net.ListenConfig that first opened it. A connection that
// moves keeps its options. Left out, the listener decides. That is Go's default, except for a
// listener that the program opened itself.
func WithKeepAlive(k net.KeepAliveConfig) Option {
	return func(c *config) { c.keepAlive = &k }
}

// WithPIDFile names a file that always holds the number of the process to signal: that of the
// current generation, or of its supervisor. The file is replaced by rename and removed after a stop.
// An app with a pid file has a control socket, too. Left out or empty, no file is written.
//
// If the file names a process of this program that serves, New returns ErrSecondInstance. If it
// can't be replaced, as in a sticky directory where it is another user's, Ready fails. The directory
// should be this user's or root's.
func WithPIDFile(path string) Option {
	return func(c *config) { c.pidFile = path }
}

// WithControlSocket names the unix socket of the operator's interface. Through it an operator
// sees the state of the app, starts an upgrade and follows it to its outcome, rolls it back, and
// stops the service. The clients are the gracex command, package control, and curl
// (docs/control.md).
//
// The socket has mode 0600, and only this user, root and operators (WithOperators) may use it. A directory that does not
// exist is made with mode 0700. Every generation inherits the socket. If the path can't be
// opened, Ready fails. So it does if another user may write to the directory, or to one above it,
// and that has no sticky bit.
//
// Left out, the socket is at control.DefaultPath if a pid file is given and that path can be
// opened. Otherwise none is opened. An empty path opens none, as WithoutControlSocket does.
func WithControlSocket(path string) Option {
	return func(c *config) { c.control = controlConfig{path: path, given: true} }
}

// WithoutControlSocket opens no control socket, also if a pid file is given.
func WithoutControlSocket() Option { return WithControlSocket("") }

// WithVersion sets the version of the program that operators see, in the status of the control
// socket and in Result. Left out or empty, it is the main module's version in the build
// information, or the commit, with "+dirty" if files were changed. It is cut to 100 bytes.
func WithVersion(v string) Option {
	return func(c *config) { c.version = text.Cut(v, text.MaxVersion) }
}

// WithLogger sets the logger for the life of the process. It logs upgrades, their failures with
// the reason, the work that a drain cut, and the ledger. Left out or nil, gracex logs nothing.
// Durations are strings with units, whatever the handler is. docs/logging.md has a line each for
// zap, zerolog, logrus and other libraries.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		c.log = l
	}
}

// Signals lists the signals to which a process reacts.
type Signals struct {
	Upgrade []os.Signal // start the next generation and hand over
	Stop    []os.Signal // stop gracefully; a second one cuts the drain short
	Reopen  []os.Signal // run the OnReopen hooks
}

// WithSignals replaces DefaultSignals. A process that was started with SIGHUP ignored, as by nohup, leaves it ignored,
// unless it is the only signal for an upgrade. With the zero Signals gracex handles no signal, and the
// program calls Upgrade and Stop itself. If SIGTERM is not among Stop, a new version that speaks
// only the plain protocol can't take over gracefully, because it reports that it is ready by
// SIGTERM.
func WithSignals(s Signals) Option {
	return func(c *config) { c.signals = s }
}

// OnReopen adds a hook for the Reopen signals (SIGUSR1). Reopen log files in it after they were
// rotated.
func OnReopen(hook func()) Option {
	return func(c *config) {
		if hook != nil {
			c.reopen = append(c.reopen, hook)
		}
	}
}

package overseer

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/overseer/fetcher"
)

const (
	// DefaultTerminateTimeout is what TerminateTimeout is without one.
	DefaultTerminateTimeout = 30 * time.Second
	// DefaultMinFetchInterval is what MinFetchInterval is without one.
	DefaultMinFetchInterval = time.Second
)

// Config says what runs, and where its new versions come from. Program is required.
type Config struct {
	// Required has Run end the process with status 1 if it can't serve. Without it Program is called with DisabledState
	// then, in a process that no upgrade has started.
	Required bool

	// Program serves, and returns when it has served. It is called once in each process, in a goroutine of its own. A
	// Program with listeners is ready when it accepts on all of them, or 5 s after its call. If it returns by itself, the
	// service stops; on probation, the process before serves on.
	Program func(state State)

	// Address is the TCP address to listen on. Set it or Addresses, or none.
	Address string
	// Addresses are the TCP addresses to listen on.
	Addresses []string

	RestartSignal    os.Signal     // upgrades; nil: SIGUSR2
	TerminateTimeout time.Duration // for a process that stops or has handed over, to end its work; 0: 30 s
	MinFetchInterval time.Duration // between the beginnings of two calls of Fetch; 0: 1 s

	// PreUpgrade is called with the path of a program that was fetched, when its signature was good. Nobody else has it.
	// An error refuses the program, until the fetcher returns it again. It may be nil.
	PreUpgrade func(tempBinaryPath string) error

	Debug  bool // has no effect but to undo NoWarn: slog's default level decides
	NoWarn bool // leaves out what is no error

	// NoRestart has RestartSignal and Restart stop the service. A program that was fetched is what the next start gets,
	// without a trial.
	NoRestart bool
	// NoRestartAfterFetch has a program that was fetched wait for RestartSignal or Restart.
	NoRestartAfterFetch bool

	// Fetcher is where new versions come from; nil: nowhere. It is called in the process that has the service, once the
	// probation is over.
	Fetcher fetcher.Interface

	// Keys are minisign's public keys, each the text of a .pub file or its second line. What Fetcher returns has to be
	// signed by one of them. Package overseer does not have it.
	Keys []string

	// Unsigned accepts what Fetcher returns without a signature. Whoever can answer in its source's place then decides
	// what this process runs. Without Keys and without Unsigned nothing is fetched, but by a *fetcher.File. Package
	// overseer does not have it.
	Unsigned bool

	// Options are more of gracex's: a pid file, ready checks, a probation. They come after those that stand for this
	// package's behaviour. Package overseer does not have it.
	Options []core.Option
}

// State is what Program gets.
type State struct {
	Enabled   bool           // false only in DisabledState, and where IsSupported is false
	ID        string         // SHA-1 of the program that this process runs, in hexadecimal digits
	StartedAt time.Time      // of this process
	Listener  net.Listener   // the first one; nil without an address
	Listeners []net.Listener // in the order of Config.Addresses
	Address   string         // the first one
	Addresses []string       // as in Config

	// GracefulShutdown is closed when this process begins to drain: it has handed over, or the service stops.
	GracefulShutdown chan bool

	BinPath string // of the program that this process runs
}

// DisabledState is what Program gets when Run can't serve.
var DisabledState = State{}

// Run listens, calls Program and ends the process: with status 0 after a clean stop and after a handover.
func Run(c Config) {
	called, err := run(c)
	switch {
	case err == nil:
		os.Exit(0) //nolint:forbidigo // as package overseer does
	case called || c.Required || c.Program == nil || core.Upgrading():
		log.Fatalf("[overseer] %v", err)
	}
	if c.Debug || !c.NoWarn {
		log.Printf("[overseer] disabled. run failed: %v", err)
	}
	c.Program(DisabledState)
}

// RunErr is Run for a program that looks at the error itself. It returns nil after a clean stop and after a handover.
func RunErr(c Config) error {
	_, err := run(c)
	return err
}

func (c *Config) fill() error {
	if c.Program == nil {
		return errors.New("overseer.Config.Program required")
	}
	if c.Address != "" {
		if len(c.Addresses) > 0 {
			return errors.New("overseer.Config.Address and Addresses cant both be set")
		}
		c.Addresses = []string{c.Address}
	} else if len(c.Addresses) > 0 {
		c.Address = c.Addresses[0]
	}
	if c.RestartSignal == nil {
		c.RestartSignal = SIGUSR2
	}
	if c.TerminateTimeout <= 0 {
		c.TerminateTimeout = DefaultTerminateTimeout
	}
	if c.MinFetchInterval <= 0 {
		c.MinFetchInterval = DefaultMinFetchInterval
	}
	return nil
}

// running is the process of Run.
var running atomic.Pointer[process]

// Restart upgrades, to what was fetched or to what lies at the path of the start, and returns at once. With NoRestart it
// stops the service. Before Run it does nothing.
func Restart() {
	if p := running.Load(); p != nil {
		p.restart()
	}
}

// IsSupported reports whether this system has upgrades.
func IsSupported() bool { return supported }

// SanityCheck ends the process if the master of package overseer has started it to see whether it is a program of its
// kind, and answers that. Run does it, too. A program needs it only if it prints something before, and until it has left
// that master.
func SanityCheck() {
	if answer() {
		os.Exit(0) //nolint:forbidigo // as package overseer does
	}
}

// answer prints the master's word, if there is one.
func answer() bool {
	for _, name := range []string{"OVERSEER_BIN_CHECK", "GO_UPGRADE_BIN_CHECK"} {
		if word := os.Getenv(name); word != "" {
			fmt.Print(word) //nolint:forbidigo // which is what the master waits for
			return true
		}
	}
	return false
}

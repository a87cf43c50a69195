package overseer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core"
)

const (
	// settleTime is how long it is waited for Program to accept on all listeners: it may use only some.
	settleTime = 5 * time.Second
	// drainLook is how often it is looked whether connections are left.
	drainLook = 50 * time.Millisecond
)

// process is what Run has made of this process.
type process struct {
	Config
	log       *slog.Logger
	u         *core.Upgrader // once Program is called
	state     State
	listeners []*listener
	updates   *updates // nil without a fetcher

	goodbye  func()        // closes GracefulShutdown
	returned chan struct{} // closed when Program has returned
	setUp    chan struct{} // closed when this process is set up, or has failed
	failed   bool          // valid then
}

// errReturned is for a Program that returns before it has served anything.
var errReturned = errors.New("overseer: Program has returned before it accepted on all listeners")

// run reports whether Program was called.
func run(c Config) (called bool, err error) {
	if err := c.fill(); err != nil {
		return false, err
	}
	if answer() {
		return true, nil
	}
	p := &process{
		Config: c, log: logger(c),
		returned: make(chan struct{}), setUp: make(chan struct{}),
	}
	if err := p.describe(); err != nil {
		return false, err
	}
	opts := p.options()
	if c.Fetcher != nil {
		if p.updates, err = p.newUpdates(); err != nil {
			p.log.Error("overseer: the fetcher is disabled, and this version serves on", "error", err)
		} else {
			opts = append(opts, p.updates.options()...)
		}
	}
	err = core.Run(p.begin, append(opts, c.Options...)...)
	if errors.Is(err, errReturned) && !core.Upgrading() {
		err = nil
	}
	return p.u != nil, err
}

func logger(c Config) *slog.Logger {
	if c.NoWarn && !c.Debug {
		return slog.New(onlyErrors{slog.Default().Handler()})
	}
	return slog.Default()
}

// onlyErrors leaves out what is no error.
type onlyErrors struct{ slog.Handler }

func (h onlyErrors) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelError && h.Handler.Enabled(ctx, l)
}

func (h onlyErrors) WithAttrs(a []slog.Attr) slog.Handler { return onlyErrors{h.Handler.WithAttrs(a)} }
func (h onlyErrors) WithGroup(name string) slog.Handler   { return onlyErrors{h.Handler.WithGroup(name)} }

// describe fills in the state but for the listeners.
func (p *process) describe() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	own, err := ownFile()
	if err != nil {
		return err
	}
	p.state = State{
		Enabled: supported, ID: own.sha1, StartedAt: time.Now(), Address: p.Address, Addresses: p.Addresses,
		GracefulShutdown: make(chan bool), BinPath: path,
	}
	p.goodbye = sync.OnceFunc(func() { close(p.state.GracefulShutdown) })
	return nil
}

// options are what overseer does, in gracex's words.
func (p *process) options() []core.Option {
	opts := []core.Option{
		core.WithLogger(p.log),
		core.WithDrainTimeout(p.TerminateTimeout),
		core.WithKeepAlive(keepAlive),
		core.WhileCurrent(p.await),
	}
	signals := core.Signals{Stop: []os.Signal{SIGTERM, os.Interrupt}}
	if supported {
		signals.Stop = slices.DeleteFunc(signals.Stop, func(s os.Signal) bool { return s == p.RestartSignal })
	}
	switch {
	case p.NoRestart:
		signals.Stop = append(signals.Stop, p.RestartSignal)
	case p.NoRestartAfterFetch && supported:
		opts = append(opts, core.OnSignal(p.RestartSignal, p.restart, nil))
	case supported:
		signals.Upgrade = []os.Signal{p.RestartSignal}
	}
	return append(opts, core.WithSignals(signals))
}

// begin listens, calls Program, and returns when that accepts.
func (p *process) begin(u *core.Upgrader) error {
	defer close(p.setUp)
	p.failed = true
	for _, addr := range p.Addresses {
		ln, err := u.Listen(context.Background(), "tcp", addr)
		if err != nil {
			return err
		}
		l := p.newListener(ln)
		p.listeners = append(p.listeners, l)
		p.state.Listeners = append(p.state.Listeners, l)
	}
	if len(p.listeners) > 0 {
		p.state.Listener = p.state.Listeners[0]
	}
	p.u = u
	running.Store(p)
	go func() {
		<-u.Draining()
		p.goodbye()
	}()
	go p.program()
	late := time.NewTimer(settleTime)
	defer late.Stop()
	for _, l := range p.listeners {
		select {
		case <-l.accepts:
		case <-late.C:
			p.log.Warn("overseer: Program does not accept on all listeners; it is taken for ready", "address", l.Addr().String())
			late.Reset(0)
		case <-p.returned:
			return errReturned
		}
	}
	p.failed = false
	return nil
}

// program calls Program, and sees to it that this process ends when that has returned.
func (p *process) program() {
	p.Program(p.state)
	close(p.returned)
	<-p.setUp
	if st := p.u.State(); p.failed || st == core.StateDraining || st == core.StateStopping {
		return
	}
	if core.Upgrading() && p.u.Reject(errors.New("overseer: Program has returned")) == nil {
		return
	}
	_ = p.u.Stop(context.Background()) // Run has its error
}

// await is background work, for which a drain waits: Program can do something behind its servers.
func (p *process) await(ctx context.Context) error {
	<-ctx.Done()
	<-p.returned
	return nil
}

// drained returns when this process has begun to drain and has no more connections, or is done, or over is closed.
func (p *process) drained(over <-chan struct{}) {
	for {
		select {
		case <-p.u.Draining():
		case <-p.u.Done():
			return
		case <-over:
			return
		}
		p.goodbye()
		open, st := p.u.Status().Ledger.Open, p.u.State()
		if open.Connections+open.Hijacked == 0 && (st == core.StateDraining || st == core.StateStopping) {
			return
		}
		select {
		case <-time.After(drainLook):
		case <-p.u.Done():
			return
		case <-over:
			return
		}
	}
}

func (p *process) restart() {
	switch {
	case p.NoRestart:
		go func() { _ = p.u.Stop(context.Background()) }()
	case p.updates != nil && p.updates.ask():
	default:
		go func() { _, _ = p.u.Upgrade(context.Background()) }() // its end is in the log
	}
}

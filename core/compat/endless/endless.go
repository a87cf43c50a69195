// Package endless has the surface of github.com/fvbock/endless over gracex: moving over is a change of
// import. A process that endless has started, and one that gracex has, take the sockets over alike, so the
// upgrade that brings the change loses nothing either. docs/migration/endless.md says what behaves
// differently.
//
//	import "github.com/gracex-go/gracex/core/compat/endless"
//
//	err := endless.ListenAndServe("localhost:4242", mux)
//
// SIGHUP upgrades, SIGTERM and SIGINT stop, and SIGUSR2 ends a drain at once, as there. All calls return nil
// after a clean stop and after a handover; a program that ends by log.Fatal(err) then exits with status 1, so
// test the error.
package endless

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/internal/group"
)

// When a hook of a signal runs. The names are those of the package that this one stands for.
const (
	PRE_SIGNAL = iota
	POST_SIGNAL
)

// The states of a server. The names are those of the package that this one stands for.
const (
	STATE_INIT = iota + 2
	STATE_RUNNING
	STATE_SHUTTING_DOWN
	STATE_TERMINATE
)

var (
	// DefaultReadTimeOut is what NewServer sets ReadTimeout to. Zero: none.
	DefaultReadTimeOut time.Duration
	// DefaultWriteTimeOut is what NewServer sets WriteTimeout to. Zero: none.
	DefaultWriteTimeOut time.Duration
	// DefaultMaxHeaderBytes is what NewServer sets MaxHeaderBytes to. Zero: http.DefaultMaxHeaderBytes.
	DefaultMaxHeaderBytes int

	// DefaultHammerTime is how long an old process, or one that stops, may take to finish what is left:
	// core.WithDrainTimeout. Negative: as long as it takes. It holds as of the first server that is started.
	DefaultHammerTime = 60 * time.Second

	// Options are more of gracex's, for the first server that is started: a pid file, ready checks, a logger
	// (left out: slog.Default). They come after those that stand for this package's behaviour.
	Options []core.Option
)

// keepAlive is what endless sets accepted connections to.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 3 * time.Minute, Interval: 3 * time.Minute}

// never is a drain timeout that does not come.
const never = 100 * 365 * 24 * time.Hour

// Server is an http.Server that upgrades itself. Make it with NewServer; set its fields before it serves.
type Server struct {
	http.Server

	// EndlessListener is what it listens on, once it serves. Serve serves on one that was set before.
	EndlessListener net.Listener

	// SignalHooks are the functions that run before (PRE_SIGNAL) and after (POST_SIGNAL) what a signal does. A signal
	// that has no list here has no hooks.
	SignalHooks map[int]map[os.Signal][]func()

	// BeforeBegin is called with Addr before the server serves. NewServer sets one that logs.
	BeforeBegin func(add string)
}

// servers are those that serve, for the hooks.
var servers struct {
	sync.Mutex
	list []*Server
}

// NewServer makes a server for the TCP address addr; it serves handler, http.DefaultServeMux if nil.
func NewServer(addr string, handler http.Handler) *Server {
	s := &Server{
		Server: http.Server{
			Addr: addr, Handler: handler,
			ReadTimeout: DefaultReadTimeOut, WriteTimeout: DefaultWriteTimeOut, MaxHeaderBytes: DefaultMaxHeaderBytes,
		},
		SignalHooks: map[int]map[os.Signal][]func(){PRE_SIGNAL: {}, POST_SIGNAL: {}},
		BeforeBegin: func(add string) { slog.Info("endless: serving", "pid", os.Getpid(), "address", add) },
	}
	for _, hooks := range s.SignalHooks {
		for _, sig := range hookable() {
			hooks[sig] = []func(){}
		}
	}
	return s
}

// ListenAndServe is NewServer and its ListenAndServe.
func ListenAndServe(addr string, handler http.Handler) error {
	return NewServer(addr, handler).ListenAndServe()
}

// ListenAndServeTLS is NewServer and its ListenAndServeTLS.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler) error {
	return NewServer(addr, handler).ListenAndServeTLS(certFile, keyFile)
}

// ListenAndServe listens on srv.Addr (":http" if empty), serves, and returns when the process should end. Several
// servers of a process, each in a goroutine of its own, are upgraded and stopped together.
func (srv *Server) ListenAndServe() error { return srv.serve(group.Server{}) }

// ListenAndServeTLS is ListenAndServe for HTTPS, on ":https" if srv.Addr is empty. It prefers HTTP/1.1 unless
// TLSConfig has NextProtos.
func (srv *Server) ListenAndServeTLS(certFile, keyFile string) error {
	config := &tls.Config{}
	if srv.TLSConfig != nil {
		config = srv.TLSConfig.Clone()
	}
	if config.NextProtos == nil {
		config.NextProtos = []string{"http/1.1"}
	}
	srv.TLSConfig = config
	return srv.serve(group.Server{TLS: true, CertFile: certFile, KeyFile: keyFile})
}

// Serve is ListenAndServe on EndlessListener. One from net.Listen can't be upgraded; take it from core.Listen.
func (srv *Server) Serve() error {
	if srv.EndlessListener == nil {
		return errors.New("endless: Serve needs an EndlessListener; use ListenAndServe, or set one from core.Listen")
	}
	return srv.serve(group.Server{Listener: srv.EndlessListener})
}

func (srv *Server) serve(s group.Server) error {
	s.HTTP = &srv.Server
	s.Begin = func(ln net.Listener) {
		srv.EndlessListener = ln
		if srv.BeforeBegin != nil {
			srv.BeforeBegin(srv.Addr)
		}
	}
	servers.Lock()
	servers.list = append(servers.list, srv)
	servers.Unlock()
	return group.Serve(s, options()...)
}

// options are what endless does, in gracex's words.
func options() []core.Option {
	drain := DefaultHammerTime
	if drain < 0 {
		drain = never
	}
	opts := []core.Option{
		core.WithLogger(slog.Default()),
		core.WithDrainTimeout(min(drain, math.MaxInt64/2)),
		core.WithKeepAlive(keepAlive),
		core.WithSignals(signals()),
	}
	for _, sig := range hookable() {
		opts = append(opts, core.OnSignal(sig, func() {
			runHooks(PRE_SIGNAL, sig)
			if sig == hammer() {
				group.Cut()
			}
		}, func() { runHooks(POST_SIGNAL, sig) }))
	}
	return append(opts, Options...)
}

func runHooks(when int, sig os.Signal) {
	servers.Lock()
	var hooks []func()
	for _, s := range servers.list {
		hooks = append(hooks, s.SignalHooks[when][sig]...)
	}
	servers.Unlock()
	for _, f := range hooks {
		f()
	}
}

// RegisterSignalHook adds a hook that runs before (PRE_SIGNAL) or after (POST_SIGNAL) what sig does. It may be called
// at any time.
func (srv *Server) RegisterSignalHook(prePost int, sig os.Signal, f func()) error {
	if prePost != PRE_SIGNAL && prePost != POST_SIGNAL {
		return fmt.Errorf("endless: %d is neither PRE_SIGNAL nor POST_SIGNAL", prePost)
	}
	if !slices.Contains(hookable(), sig) {
		return fmt.Errorf("endless: signal %v has no hooks; those that have are %v", sig, hookable())
	}
	servers.Lock()
	defer servers.Unlock()
	if srv.SignalHooks == nil {
		srv.SignalHooks = make(map[int]map[os.Signal][]func())
	}
	if srv.SignalHooks[prePost] == nil {
		srv.SignalHooks[prePost] = make(map[os.Signal][]func())
	}
	srv.SignalHooks[prePost][sig] = append(srv.SignalHooks[prePost][sig], f)
	return nil
}

// Package gracehttp has the surface of github.com/facebookgo/grace/gracehttp over gracex: moving over is a
// change of import, and the upgrade that brings the change loses nothing either. docs/migration/grace.md says
// what behaves differently.
//
//	import "github.com/gracex-go/gracex/core/compat/grace/gracehttp"
//
//	err := gracehttp.Serve(&http.Server{Addr: ":8080", Handler: mux}, &http.Server{Addr: ":8081", Handler: admin})
//
// SIGUSR2 and SIGHUP upgrade, SIGTERM, SIGINT and SIGQUIT stop. Serve returns nil after a clean stop and after a handover.
package gracehttp

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/gracex-go/gracex/core"
)

// Option is a setting of ServeWithOptions.
type Option func(*settings)

type settings struct{ opts []core.Option }

// PreStartProcess has hook called before a new process is started; an error of it vetoes the upgrade, and this process serves on.
func PreStartProcess(hook func() error) Option {
	return func(s *settings) {
		if hook != nil {
			s.opts = append(s.opts, core.OnPreFork(func(context.Context) error { return hook() }))
		}
	}
}

// With has gracex's own options: a pid file, ready checks, a drain timeout.
func With(opts ...core.Option) Option {
	return func(s *settings) { s.opts = append(s.opts, opts...) }
}

// logger is what SetLogger has set.
var logger atomic.Pointer[log.Logger]

// SetLogger sets where the life of the process is logged. Left out, or nil: nothing is. Call it before Serve.
func SetLogger(l *log.Logger) { logger.Store(l) }

// Serve serves the servers, each on its Addr (":http", or ":https" for one that has a TLSConfig, if empty), and returns
// when the process should end. A server with a TLSConfig speaks TLS.
func Serve(servers ...*http.Server) error { return ServeWithOptions(servers) }

// ServeWithOptions is Serve with settings.
func ServeWithOptions(servers []*http.Server, options ...Option) error {
	if len(servers) == 0 {
		return errors.New("gracehttp: there is no server to serve")
	}
	var s settings
	if l := logger.Load(); l != nil {
		s.opts = append(s.opts, core.WithLogger(slog.New(slog.NewTextHandler(lines{l}, nil))))
	}
	for _, o := range options {
		if o != nil {
			o(&s)
		}
	}
	return core.Run(func(u *core.Upgrader) error {
		for _, srv := range servers {
			if err := attach(u, srv); err != nil {
				return err
			}
		}
		return nil
	}, s.opts...)
}

func attach(u *core.Upgrader, srv *http.Server) error {
	addr, useTLS := srv.Addr, srv.TLSConfig != nil
	if addr == "" {
		addr = ":http"
		if useTLS {
			addr = ":https"
		}
	}
	ln, err := u.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	if useTLS {
		if srv.TLSConfig.NextProtos == nil { // as grace, which wraps the listener
			srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
		return u.AttachTLS(srv, ln, "", "")
	}
	return u.Attach(srv, ln)
}

// lines writes to a logger, which has a prefix and a time of its own.
type lines struct{ l *log.Logger }

func (w lines) Write(b []byte) (int, error) { return len(b), w.l.Output(0, string(b)) }

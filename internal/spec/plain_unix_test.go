//go:build unix

package spec_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/gracex-go/gracex/core"
)

// plainServe is the run methods that core has, and that an adapter whose routers are handlers has under the same names.
type plainServe struct {
	listenAndServe     func(addr string, h http.Handler, opts ...core.Option) error
	listenAndServeTLS  func(addr, cert, key string, h http.Handler, opts ...core.Option) error
	listenAndServeUnix func(path string, h http.Handler, opts ...core.Option) error
	serve              func(srv *http.Server, opts ...core.Option) error
	serveTLS           func(srv *http.Server, cert, key string, opts ...core.Option) error
	serveListener      func(srv *http.Server, ln net.Listener, opts ...core.Option) error
}

func (s plainServe) methods(app func(*process) http.Handler) []method {
	serveListener := func(p *process, ln net.Listener) error {
		return s.serveListener(p.server(app(p)), ln, p.opts...)
	}
	return []method{
		{name: "ListenAndServe", kind: plain, serve: func(p *process) error {
			return s.listenAndServe(p.address, app(p), p.opts...)
		}},
		{name: "ListenAndServeTLS", kind: secure, serve: func(p *process) error {
			return s.listenAndServeTLS(p.address, p.cert(), p.key(), app(p), p.opts...)
		}},
		{name: "ListenAndServeUnix", kind: socket, serve: func(p *process) error {
			return s.listenAndServeUnix(p.address, app(p), p.opts...)
		}},
		{name: "Serve", kind: plain, slow: true, stops: serverStops, serve: func(p *process) error {
			return s.serve(p.server(app(p)), p.opts...)
		}},
		{name: "Serve with TLSConfig", kind: secure, stops: serverStops,
			serve: with(tlsConfig, func(p *process, cfg *tls.Config) error {
				srv := p.server(app(p))
				srv.TLSConfig = cfg
				return s.serve(srv, p.opts...)
			})},
		{name: "ServeTLS", kind: secure1, slow: true, stops: serverStops, serve: func(p *process) error {
			srv := p.server(app(p))
			srv.Protocols = new(http.Protocols)
			srv.Protocols.SetHTTP1(true)
			return s.serveTLS(srv, p.cert(), p.key(), p.opts...)
		}},
		{name: "ServeListener", kind: socket, stops: serverStops, serve: with(listenUnix, serveListener)},
		{name: "ServeListener wrapped", kind: wrapped, serve: with(listenWrapped, serveListener)},
		{name: "ServeListener with tls.NewListener", kind: secure, stops: serverStops, serve: with(listenTLS, serveListener)},
		{name: "ServeListener with net.Listen", kind: plain, foreign: true, serve: with(listenForeign, serveListener)},
	}
}

// with is the run method that serves with what the program makes before.
func with[T any](prepare func(*process) (T, error), serve func(*process, T) error) func(*process) error {
	return func(p *process) error {
		v, err := prepare(p)
		if err != nil {
			return err
		}
		return serve(p, v)
	}
}

// serverStops are those that process.server sets.
var serverStops = []string{"Shutdown", "Close"}

// server is an http.Server of the program's own.
func (p *process) server(app http.Handler) *http.Server {
	srv := &http.Server{
		Addr: p.address, Handler: app, ReadHeaderTimeout: p.headerTimeout,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelInfo),
	}
	p.stops["Shutdown"] = func() error { return srv.Shutdown(context.Background()) }
	p.stops["Close"] = srv.Close
	return srv
}

// The program makes its listener itself.
func ownListener(p *process) (net.Listener, error) { return p.listen("tcp") }
func listenUnix(p *process) (net.Listener, error)  { return p.listen("unix") }

func (p *process) listen(network string) (net.Listener, error) {
	ln, err := core.Listen(context.Background(), network, p.address)
	if err == nil {
		p.say("listening", "address", ln.Addr().String())
	}
	return ln, err
}

// listenWrapped hides what core has to know of a listener, as people do.
func listenWrapped(p *process) (net.Listener, error) {
	ln, err := p.listen("tcp")
	return struct{ net.Listener }{ln}, err
}

// listenTLS makes a listener for HTTPS.
func listenTLS(p *process) (net.Listener, error) {
	cfg, err := tlsConfig(p)
	if err != nil {
		return nil, err
	}
	cfg.NextProtos = []string{"h2", "http/1.1"}
	ln, err := p.listen("tcp")
	if err != nil {
		return nil, err
	}
	return tls.NewListener(ln, core.TicketKeys("spec", cfg)), nil
}

// listenForeign is how it must not: the address is its own, and a file keeps it.
func listenForeign(p *process) (net.Listener, error) {
	file := filepath.Join(p.state, "address")
	address, err := os.ReadFile(file)
	if err != nil {
		address = []byte(p.address)
	}
	ln, err := net.Listen("tcp", string(address))
	if err != nil {
		return nil, err
	}
	p.say("listening", "address", ln.Addr().String())
	return ln, os.WriteFile(file, []byte(ln.Addr().String()), 0o600)
}

func tlsConfig(p *process) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(p.cert(), p.key())
	return &tls.Config{Certificates: []tls.Certificate{cert}}, err
}

// Package gracehttp has the surface of github.com/tabalt/gracehttp over gracex: moving over is a change of
// import, and the upgrade that brings the change loses nothing either. docs/migration/gracehttp.md says what
// behaves differently.
//
//	import "github.com/gracex-go/gracex/core/compat/gracehttp"
//
//	err := gracehttp.ListenAndServe(":8080", nil)
//
// SIGUSR2 and SIGHUP upgrade, SIGTERM, SIGINT and SIGQUIT stop. All calls return nil after a clean stop and
// after a handover; a program that ends by log.Fatal(err) then exits with status 1, so test the error.
package gracehttp

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/internal/group"
)

// The timeouts of ListenAndServe and ListenAndServeTLS. The names are those of the package that this one stands
// for.
const (
	DEFAULT_READ_TIMEOUT  = 60 * time.Second
	DEFAULT_WRITE_TIMEOUT = DEFAULT_READ_TIMEOUT
)

// Options are gracex's, for the first server that is started: a pid file, ready checks, a drain timeout, a
// logger (left out: slog.Default).
var Options []core.Option

// Server is an HTTP server that upgrades itself. Make it with NewServer.
type Server struct{ http *http.Server }

// NewServer makes a server for the TCP address addr (":http" or ":https" if empty); it serves handler,
// http.DefaultServeMux if nil. A timeout of zero is none.
func NewServer(addr string, handler http.Handler, readTimeout, writeTimeout time.Duration) *Server {
	return &Server{&http.Server{Addr: addr, Handler: handler, ReadTimeout: readTimeout, WriteTimeout: writeTimeout}}
}

// ListenAndServe is NewServer with the default timeouts, and its ListenAndServe.
func ListenAndServe(addr string, handler http.Handler) error {
	return NewServer(addr, handler, DEFAULT_READ_TIMEOUT, DEFAULT_WRITE_TIMEOUT).ListenAndServe()
}

// ListenAndServeTLS is NewServer with the default timeouts, and its ListenAndServeTLS.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler) error {
	return NewServer(addr, handler, DEFAULT_READ_TIMEOUT, DEFAULT_WRITE_TIMEOUT).ListenAndServeTLS(certFile, keyFile)
}

// ListenAndServe serves, and returns when the process should end. Several servers of a process, each in a
// goroutine of its own, are upgraded and stopped together.
func (srv *Server) ListenAndServe() error { return srv.serve(group.Server{}) }

// ListenAndServeTLS is ListenAndServe for HTTPS. It prefers HTTP/1.1.
func (srv *Server) ListenAndServeTLS(certFile, keyFile string) error {
	srv.http.TLSConfig = &tls.Config{NextProtos: []string{"http/1.1"}}
	return srv.serve(group.Server{TLS: true, CertFile: certFile, KeyFile: keyFile})
}

func (srv *Server) serve(s group.Server) error {
	s.HTTP = srv.http
	return group.Serve(s, append([]core.Option{core.WithLogger(slog.Default())}, Options...)...)
}

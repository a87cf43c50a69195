package core

import (
	"cmp"
	"context"
	"errors"
	"net/http"
)

// givenServer is a server of the program with what was given beside it.
type givenServer struct {
	srv               *http.Server
	useTLS            bool
	certFile, keyFile string // may be empty if srv has the certificates
	name              string // empty: none
	opened            bool   // its listener is opened for it: the program does not have it
}

// ServerOption says more about a server that AlsoServe, AlsoServeTLS or AlsoServeServer adds.
type ServerOption func(*givenServer)

// Named gives the server a name, such as "metrics". The log and the status show it beside the
// address. Left out or empty, the server has only its address.
func Named(name string) ServerOption {
	return func(s *givenServer) { s.name = name }
}

// WithServerName gives a name, such as "public", to each server that has none by Named: that of Run, ListenAndServe
// and the adapters' run methods, and those of Attach. The log, the status and Totals show it, in Totals in the place of
// the address. Left out or empty, a server has only its address.
func WithServerName(name string) Option {
	return func(c *config) { c.serverName = name }
}

// AlsoServe adds one more HTTP server to the process, for metrics, profiles or an API for
// administrators. It listens on the TCP address addr (":http" if empty) and serves handler
// (http.DefaultServeMux if nil). The option can be given several times, each for another server.
//
//	ginx.Run(r, ":8080", core.AlsoServe(":9090", promhttp.Handler(), core.Named("metrics")))
//
// The server begins and ends with the process's first one, and goes through an upgrade like it. The
// next generation gets its listener, its connections move, and it takes part in the drain, the
// rollback and the ledger. The listener is opened by Ready, after those that the program opens
// itself. If it can't be opened, Ready fails, and an old process serves on.
func AlsoServe(addr string, handler http.Handler, opts ...ServerOption) Option {
	return also(func() givenServer { return givenServer{srv: &http.Server{Addr: addr, Handler: handler}} }, opts)
}

// AlsoServeTLS is like AlsoServe for HTTPS. It listens on ":https" if addr is empty. Each
// generation reads the files again.
func AlsoServeTLS(addr, certFile, keyFile string, handler http.Handler, opts ...ServerOption) Option {
	return also(func() givenServer {
		return givenServer{
			srv: &http.Server{Addr: addr, Handler: handler}, useTLS: true, certFile: certFile, keyFile: keyFile,
		}
	}, opts)
}

// AlsoServeServer is like AlsoServe for a server with settings of its own. It listens on srv.Addr.
// It speaks TLS if srv.TLSConfig has certificates or a function that returns them. Upgrader.Serve
// describes how srv is used. If srv is nil, Ready fails.
func AlsoServeServer(srv *http.Server, opts ...ServerOption) Option {
	return also(func() givenServer {
		return givenServer{srv: srv, useTLS: srv != nil && hasCertificates(srv.TLSConfig)}
	}, opts)
}

// also adds the server that serverOf makes, anew for each Upgrader: a server serves once.
func also(serverOf func() givenServer, opts []ServerOption) Option {
	return func(c *config) {
		s := serverOf()
		for _, o := range opts {
			if o != nil {
				o(&s)
			}
		}
		c.also = append(c.also, s)
	}
}

// alsoServe starts the servers that options have added.
func (u *Upgrader) alsoServe() error {
	for _, s := range u.cfg.also {
		if s.srv == nil {
			return errors.New("gracex: AlsoServeServer: the server is nil; give it an http.Server")
		}
		if err := u.listenAndAttach(s); err != nil {
			return err
		}
	}
	return nil
}

// listenAndAttach opens the server's address and starts it.
func (u *Upgrader) listenAndAttach(s givenServer) error {
	def := ":http"
	if s.useTLS {
		def = ":https"
	}
	ln, err := u.Listen(context.Background(), "tcp", cmp.Or(s.srv.Addr, def))
	if err != nil {
		return err
	}
	s.opened = true
	return u.attached(s, ln)
}

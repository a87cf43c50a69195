package core

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
)

// ListenAndServe is http.ListenAndServe for a server that upgrades itself: it
// listens on the TCP address addr (":http" if empty), serves handler
// (http.DefaultServeMux if nil), and returns nil when the process should end:
// after a clean stop, and after a handover when the drain has ended. ErrCut means
// that a drain was cut short, any other error that the process did not get to
// serve, or that its listener broke.
//
// log.Fatal(core.ListenAndServe(...)) would exit with status 1 after a clean
// stop, because nil came back: test the error.
func ListenAndServe(addr string, handler http.Handler, opts ...Option) error {
	return Serve(&http.Server{Addr: addr, Handler: handler}, opts...)
}

// ListenAndServeTLS is ListenAndServe for HTTPS, on ":https" if addr is empty.
// The files are read anew by each generation.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler, opts ...Option) error {
	return serve(&http.Server{Addr: addr, Handler: handler}, true, certFile, keyFile, opts)
}

// ListenAndServeUnix is ListenAndServe on the unix socket file. The path stays while
// generations change and is removed after a stop. A socket that a crashed process
// left behind is replaced; one that somebody listens on is an error.
func ListenAndServeUnix(file string, handler http.Handler, opts ...Option) error {
	return Run(func(u *Upgrader) error {
		ln, err := u.Listen(context.Background(), "unix", file)
		if err != nil {
			return err
		}
		return u.Attach(&http.Server{Handler: handler}, ln)
	}, opts...)
}

// Serve is ListenAndServe for a server with settings of its own. It speaks TLS
// if srv.TLSConfig has certificates or a way to get them. See Upgrader.Serve for
// what becomes of srv.
func Serve(srv *http.Server, opts ...Option) error {
	return serve(srv, hasCertificates(srv.TLSConfig), "", "", opts)
}

// ServeTLS is Serve for HTTPS with a certificate from files, which are read anew by
// each generation. They may be empty if srv.TLSConfig has the certificates.
func ServeTLS(srv *http.Server, certFile, keyFile string, opts ...Option) error {
	return serve(srv, true, certFile, keyFile, opts)
}

// ServeListener is Serve on a listener that was made before: with Listen, as it is
// or wrapped. srv.Addr is not used. It speaks TLS if the listener does:
// tls.NewListener. One from net.Listen serves too, but can't be upgraded: the next
// generation's net.Listen fails because the address is in use, and this one serves
// on.
func ServeListener(srv *http.Server, ln net.Listener, opts ...Option) error {
	err := Run(func(u *Upgrader) error { return u.Attach(srv, ln) }, opts...)
	if !errors.Is(err, ErrRunning) { // then it may be the other's
		_ = ln.Close()
	}
	return err
}

func serve(srv *http.Server, useTLS bool, certFile, keyFile string, opts []Option) error {
	return Run(func(u *Upgrader) error {
		addr := srv.Addr
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
			return u.AttachTLS(srv, ln, certFile, keyFile)
		}
		return u.Attach(srv, ln)
	}, opts...)
}

func hasCertificates(c *tls.Config) bool {
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}

// Run makes an Upgrader, calls setup, which opens the listeners and attaches the
// servers, says Ready, and returns when the process should end. An error of setup
// stops everything and is returned; an old process gets to know it and serves on.
func Run(setup func(u *Upgrader) error, opts ...Option) error {
	u, err := New(opts...)
	if err != nil {
		return err
	}
	if err := setup(u); err != nil {
		u.requestStop(stopRequest{err: err, now: true})
	} else {
		_ = u.Ready() // wait returns its error
	}
	return u.wait()
}

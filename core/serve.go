package core

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
)

// ListenAndServe is like http.ListenAndServe for a server that upgrades itself. It listens on the
// TCP address addr (":http" if empty) and serves handler (http.DefaultServeMux if nil).
//
// It returns nil when the process should end, which is after a graceful stop, and after a
// handover when the drain has ended. ErrCut means that the stop is done, and that work was left at
// the deadline, or at a second stop signal, and was cut. Any other error means that the process did
// not get to serve, or that its listener broke. http.ErrServerClosed does not come back.
//
// In the first process of a service that somebody watches it does not come back to main after a
// handover: what main has deferred runs, and the process goes on as the supervisor of the next ones
// (docs/supervise.md). OnEnd hooks run in every process.
//
// So the idiom is
//
//	err := core.ListenAndServe(":8080", handler)
//	if err != nil && !errors.Is(err, core.ErrCut) {
//		log.Fatal(err)
//	}
//
// log.Fatal(core.ListenAndServe(...)) would exit with status 1 after a graceful stop, because the
// error is nil. So would a check for err != http.ErrServerClosed.
func ListenAndServe(addr string, handler http.Handler, opts ...Option) error {
	return Serve(&http.Server{Addr: addr, Handler: handler}, opts...)
}

// ListenAndServeTLS is like ListenAndServe for HTTPS. It listens on ":https" if addr is empty.
// Each generation reads the files again.
func ListenAndServeTLS(addr, certFile, keyFile string, handler http.Handler, opts ...Option) error {
	return serve(&http.Server{Addr: addr, Handler: handler}, true, certFile, keyFile, opts)
}

// Serve is like ListenAndServe for a server with settings of its own. It speaks TLS if
// srv.TLSConfig has certificates or a function that returns them. Upgrader.Serve describes how
// srv is used.
func Serve(srv *http.Server, opts ...Option) error {
	return serve(srv, hasCertificates(srv.TLSConfig), "", "", opts)
}

// ServeListener is like Serve on a listener that was made with Listen, wrapped or not. It does
// not use srv.Addr. It speaks TLS if the listener does, as one from tls.NewListener.
//
// A listener from net.Listen serves too, but can't be upgraded. The next generation's net.Listen
// fails because the address is in use, and this one serves on.
func ServeListener(srv *http.Server, ln net.Listener, opts ...Option) error {
	err := Run(func(u *Upgrader) error { return u.Attach(srv, ln) }, opts...)
	if !errors.Is(err, ErrRunning) { // then it may be the other's
		_ = ln.Close()
	}
	return err
}

func serve(srv *http.Server, useTLS bool, certFile, keyFile string, opts []Option) error {
	return Run(func(u *Upgrader) error {
		return u.listenAndAttach(givenServer{srv: srv, useTLS: useTLS, certFile: certFile, keyFile: keyFile})
	}, opts...)
}

func hasCertificates(c *tls.Config) bool {
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}

// Run makes an Upgrader and calls setup, which opens the listeners and attaches the servers. Then
// it calls Ready, and returns when the process should end. An error of setup stops everything and
// is returned. An old process is told, and serves on.
//
// A program can start its servers by several calls in goroutines of their own. The first call makes
// the Upgrader, and the others join it. All have to have the same options, else ErrRunning is
// returned. A call that joins a process which serves already serves at once. If its setup fails, it
// returns that error, and the other servers serve on. The new process of an upgrade is not ready
// before as many calls have come as the old process had, or its listeners are all claimed. It waits
// 5 s after each call, because a new version may have fewer servers.
func Run(setup func(u *Upgrader) error, opts ...Option) error {
	u, first, err := newOrJoin(opts)
	if err != nil {
		return err
	}
	if !first {
		return u.join(setup)
	}
	if err := setup(u); err != nil {
		u.requestStop(stopRequest{err: err, now: true})
	} else {
		u.runs.isSetUp()
		_ = u.Ready() // wait returns its error
	}
	return u.wait()
}

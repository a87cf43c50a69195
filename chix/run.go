package chix

import (
	"cmp"
	"context"
	"net"
	"net/http"

	"github.com/gracex-go/gracex/core"
)

// ListenAndServe is like http.ListenAndServe. It serves r on the TCP address addr, or on ":http"
// if addr is empty.
//
// Like every function here that takes options it blocks. It returns nil after a clean stop and,
// when the drain has ended, after a handover to the next generation. It returns core.ErrCut if a
// stop has cut what was left. It does not return after a handover in a first process that goes
// on as the supervisor of the service (core.OnEnd). Any other error means that the process did
// not get to serve, or that its listener broke. Several calls, each in a goroutine, share the
// process if they have the same options (core.Run).
func ListenAndServe(addr string, r http.Handler, opts ...core.Option) error {
	return core.ListenAndServe(addr, r, opts...)
}

// ListenAndServeTLS is like http.ListenAndServeTLS. It serves HTTPS, HTTP/2 included, on the TCP
// address addr, or on ":https" if addr is empty. Each generation reads the files again, so an
// upgrade loads a renewed certificate.
func ListenAndServeTLS(addr, certFile, keyFile string, r http.Handler, opts ...core.Option) error {
	return core.ListenAndServeTLS(addr, certFile, keyFile, r, opts...)
}

// ListenAndServeUnix serves HTTP on the unix socket file. The path stays through upgrades and is
// removed after a stop. A socket that a crashed process left behind is replaced. It is an error
// if another process listens on the socket.
func ListenAndServeUnix(file string, r http.Handler, opts ...core.Option) error {
	return core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "unix", file)
		if err != nil {
			return err
		}
		return u.Attach(&http.Server{Handler: r}, ln)
	}, opts...)
}

// Serve is like srv.ListenAndServe, or like srv.ListenAndServeTLS if srv.TLSConfig has
// certificates. It serves on the TCP address srv.Addr with all settings of srv. srv.Shutdown and
// srv.Close mean a graceful stop and return when that has ended.
func Serve(srv *http.Server, opts ...core.Option) error {
	return core.Serve(srv, opts...)
}

// ServeTLS is like srv.ListenAndServeTLS with a certificate from files, which each generation reads
// again. The names may be empty if srv.TLSConfig has the certificates.
func ServeTLS(srv *http.Server, certFile, keyFile string, opts ...core.Option) error {
	return core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", cmp.Or(srv.Addr, ":https"))
		if err != nil {
			return err
		}
		return u.AttachTLS(srv, ln, certFile, keyFile)
	}, opts...)
}

// ServeListener is like srv.Serve. It serves on a listener and closes it. Make the listener with
// core.Listen. It can be wrapped. A listener from net.Listen serves too, but can't be upgraded.
func ServeListener(srv *http.Server, ln net.Listener, opts ...core.Option) error {
	return core.ServeListener(srv, ln, opts...)
}

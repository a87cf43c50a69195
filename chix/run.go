package chix

import (
	"net"
	"net/http"

	"github.com/gracex-go/gracex/core"
)

// ListenAndServe is http.ListenAndServe: it serves r on the TCP address addr, ":http"
// if it is empty.
//
// Like every function here that takes options it blocks, and returns nil after a
// clean stop and, once the drain has ended, after a handover to the next
// generation; core.ErrCut if a drain was cut short; any other error if the
// process did not get to serve, or if its listener broke. There is one such call
// in a process at a time (core.ErrRunning).
func ListenAndServe(addr string, r http.Handler, opts ...core.Option) error {
	return core.ListenAndServe(addr, r, opts...)
}

// ListenAndServeTLS is http.ListenAndServeTLS: it serves HTTPS, HTTP/2 included, on
// the TCP address addr, ":https" if it is empty. Each generation reads the files
// anew, so an upgrade takes a renewed certificate in.
func ListenAndServeTLS(addr, certFile, keyFile string, r http.Handler, opts ...core.Option) error {
	return core.ListenAndServeTLS(addr, certFile, keyFile, r, opts...)
}

// ListenAndServeUnix serves HTTP on the unix socket file. The path stays while
// generations change and is removed after a stop. A socket that a crashed process
// left behind is replaced; one that somebody listens on is an error.
func ListenAndServeUnix(file string, r http.Handler, opts ...core.Option) error {
	return core.ListenAndServeUnix(file, r, opts...)
}

// Serve is srv.ListenAndServe, or srv.ListenAndServeTLS with certificates in
// srv.TLSConfig: it serves on the TCP address srv.Addr with all settings of srv.
// srv.Shutdown and srv.Close mean a graceful stop and return when it has ended.
func Serve(srv *http.Server, opts ...core.Option) error {
	return core.Serve(srv, opts...)
}

// ServeTLS is srv.ListenAndServeTLS with a certificate from files.
func ServeTLS(srv *http.Server, certFile, keyFile string, opts ...core.Option) error {
	return core.ServeTLS(srv, certFile, keyFile, opts...)
}

// ServeListener is srv.Serve: it serves on a listener that was made before, and
// closes it. Make it with core.Listen, wrapped or as it is. One from net.Listen
// serves too, but can't be upgraded.
func ServeListener(srv *http.Server, ln net.Listener, opts ...core.Option) error {
	return core.ServeListener(srv, ln, opts...)
}

package echox

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"

	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/acme"
	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/core"
)

// Start is like e.Start. It serves HTTP with e.Server on the address addr of e.ListenerNetwork, or on
// e.Listener if that is set. Make e.Listener with core.Listen. It can be wrapped. A listener from net.Listen
// serves too, but can't be upgraded. Other than in Echo the network can be "unix", and then addr is a path.
//
// Like every function here that takes options it blocks. It returns nil after a clean stop, by
// e.Shutdown too, and, when the drain has ended, after a handover to the next generation. It
// returns core.ErrCut if a stop has cut what was left. It does not return after a handover in a
// first process that goes on as the supervisor of the service (core.OnEnd). Any other error
// means that the process did not get to serve, or that its listener broke. Several calls, each
// in a goroutine, share the process if they have the same options (core.Run).
func Start(e *echo.Echo, addr string, opts ...core.Option) error {
	e.Server.Addr = addr
	return serve(e, e.Server, opts)
}

// StartTLS is like e.StartTLS. It serves HTTPS with e.TLSServer on the address addr, HTTP/2
// included unless e.DisableHTTP2 is set. certFile and keyFile are paths (string) or the PEM text
// itself ([]byte). Each generation reads paths again, so an upgrade loads a renewed certificate.
func StartTLS(e *echo.Echo, addr string, certFile, keyFile any, opts ...core.Option) error {
	cert, err := pathOrContent(certFile)
	if err != nil {
		return fmt.Errorf("echox: the certificate: %w", err)
	}
	key, err := pathOrContent(keyFile)
	if err != nil {
		return fmt.Errorf("echox: the certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("echox: the certificate: %w", err)
	}
	return startTLS(e, addr, &tls.Config{Certificates: []tls.Certificate{pair}}, opts)
}

// StartAutoTLS is like e.StartAutoTLS, which is StartTLS with certificates that e.AutoTLSManager
// gets. Give the manager a Cache that outlives the process (autocert.DirCache). Without one every
// generation asks for new certificates, and the issuer allows only a few a week.
func StartAutoTLS(e *echo.Echo, addr string, opts ...core.Option) error {
	return startTLS(e, addr, &tls.Config{
		GetCertificate: e.AutoTLSManager.GetCertificate,
		NextProtos:     []string{acme.ALPNProto},
	}, opts)
}

// StartH2CServer is like e.StartH2CServer, which is Start with HTTP/2 without TLS, for clients
// that know beforehand that the server speaks it. A nil h2s means the defaults.
//
// It uses net/http's own HTTP/2, which can be drained, with the settings of h2s where e.Server.HTTP2 has
// none. The timeouts are e.Server's, for HTTP/1 and HTTP/2 alike. If e.Server.IdleTimeout is zero,
// h2s.IdleTimeout takes its place. A request with "Upgrade: h2c" is answered in HTTP/1.1.
func StartH2CServer(e *echo.Echo, addr string, h2s *http2.Server, opts ...core.Option) error {
	configureH2C(e.Server, h2s)
	return Start(e, addr, opts...)
}

// StartServer is like e.StartServer. It serves with srv on srv.Addr, or on e.Listener or
// e.TLSListener. It serves HTTPS if srv.TLSConfig is set. As in Echo, e.Shutdown does not know a
// server that is not its own. Use srv.Shutdown to stop gracefully.
func StartServer(e *echo.Echo, srv *http.Server, opts ...core.Option) error {
	if srv.TLSConfig != nil {
		return serveTLS(e, srv, opts)
	}
	return serve(e, srv, opts)
}

// serve serves HTTP. srv may have a TLSConfig all the same: net/http sets one.
func serve(e *echo.Echo, srv *http.Server, opts []core.Option) error {
	srv.Handler, srv.ErrorLog = e, e.StdLogger
	if ln := e.Listener; ln != nil {
		announce(e, nil)
		return core.ServeListener(srv, ln, opts...)
	}
	return core.Run(func(u *core.Upgrader) error {
		ln, err := listen(u, e, srv.Addr)
		if err != nil {
			return err
		}
		e.Listener = ln
		announce(e, nil)
		return u.Attach(srv, ln)
	}, opts...)
}

// serveTLS serves HTTPS with the certificates of srv.TLSConfig.
func serveTLS(e *echo.Echo, srv *http.Server, opts []core.Option) error {
	srv.Handler, srv.ErrorLog = e, e.StdLogger
	if ln := e.TLSListener; ln != nil { // it speaks TLS itself
		announce(e, srv.TLSConfig)
		return core.ServeListener(srv, ln, opts...)
	}
	return core.Run(func(u *core.Upgrader) error {
		ln, err := listen(u, e, srv.Addr)
		if err != nil {
			return err
		}
		e.TLSListener = ln
		announce(e, srv.TLSConfig)
		restrict(srv)
		return u.AttachTLS(srv, ln, "", "")
	}, opts...)
}

// restrict leaves HTTP/2 out where srv.TLSConfig does not offer it, as Echo does; net/http adds it otherwise.
func restrict(srv *http.Server) {
	if srv.Protocols == nil && !slices.Contains(srv.TLSConfig.NextProtos, "h2") {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
	}
}

func startTLS(e *echo.Echo, addr string, cfg *tls.Config, opts []core.Option) error {
	if !e.DisableHTTP2 {
		cfg.NextProtos = append(cfg.NextProtos, "h2")
	}
	e.TLSServer.Addr, e.TLSServer.TLSConfig = addr, cfg
	return serveTLS(e, e.TLSServer, opts)
}

// listen opens what Echo would open.
func listen(u *core.Upgrader, e *echo.Echo, addr string) (net.Listener, error) {
	if n := e.ListenerNetwork; !slices.Contains([]string{"tcp", "tcp4", "tcp6", "unix"}, n) {
		return nil, fmt.Errorf("echox: e.ListenerNetwork %q: %w", n, echo.ErrInvalidListenerNetwork)
	}
	return u.Listen(context.Background(), e.ListenerNetwork, addr)
}

// announce has Echo print its banner and where it listens, and set its logger up. It
// does that when it starts a server, so it gets one that is closed already.
func announce(e *echo.Echo, secure *tls.Config) {
	plain, overTLS := e.Listener, e.TLSListener
	e.Listener, e.TLSListener = unclosed{plain}, unclosed{overTLS}
	closed := &http.Server{TLSConfig: secure}
	_ = closed.Close()
	_ = e.StartServer(closed)
	e.Listener, e.TLSListener = plain, overTLS
}

// unclosed is a listener that stays open.
type unclosed struct{ net.Listener }

func (unclosed) Close() error { return nil }

// pathOrContent is what Echo makes of such an argument.
func pathOrContent(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return os.ReadFile(v)
	case []byte:
		return v, nil
	default:
		return nil, echo.ErrInvalidCertOrKeyType
	}
}

package echox

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"

	"github.com/labstack/echo/v5"

	"github.com/gracex-go/gracex/core"
)

// Start is like e.Start. It serves HTTP on the TCP address addr.
//
// Like every function here that takes options it blocks. It returns nil after a clean stop and,
// when the drain has ended, after a handover to the next generation. It returns core.ErrCut if a
// stop has cut what was left. It does not return after a handover in a first process that goes
// on as the supervisor of the service (core.OnEnd). Any other error means that the process did
// not get to serve, or that its listener broke. Several calls, each in a goroutine, share the
// process if they have the same options (core.Run).
func Start(e *echo.Echo, addr string, opts ...core.Option) error {
	return StartWithConfig(context.Background(), e, echo.StartConfig{Address: addr}, opts...)
}

// StartTLS serves HTTPS, HTTP/2 included, on the TCP address addr. certFile and keyFile are paths (string) or
// the PEM text itself ([]byte). Each generation reads paths again, so an upgrade loads a renewed certificate.
func StartTLS(e *echo.Echo, addr string, certFile, keyFile any, opts ...core.Option) error {
	return StartTLSWithConfig(context.Background(), e, echo.StartConfig{Address: addr}, certFile, keyFile, opts...)
}

// StartWithConfig is like sc.Start(ctx, h). It serves HTTP, or HTTPS with certificates in sc.TLSConfig. It
// stops gracefully when ctx ends, as on a signal. h is an *echo.Echo or any other handler.
//
// All of sc is honoured. GracefulTimeout is core.WithDrainTimeout. At zero it is the core's
// default, and at a negative value the end of ctx has no effect, as in Echo. OnShutdownError
// receives core.ErrCut if a stop was cut, and StartWithConfig returns it too.
//
// Make a Listener with core.Listen. It can be wrapped. A listener from net.Listen serves too, but
// can't be upgraded. ListenerNetwork can be "unix", and then Address is a path.
func StartWithConfig(ctx context.Context, h http.Handler, sc echo.StartConfig, opts ...core.Option) error {
	return start(ctx, h, sc, func(sc echo.StartConfig) error { return sc.Start(ctx, h) }, opts)
}

// StartTLSWithConfig is like sc.StartTLS(ctx, h, certFile, keyFile). If sc.CertFilesystem is set, paths are
// in it. Otherwise any path works, including absolute ones, which Echo does not take. It refuses sc.Listener,
// on which Echo would serve without TLS. Pass a listener from tls.NewListener to StartWithConfig instead.
func StartTLSWithConfig(ctx context.Context, h http.Handler, sc echo.StartConfig, certFile, keyFile any, opts ...core.Option) error {
	if sc.Listener != nil {
		return errors.New("echox: StartTLS with StartConfig.Listener would serve without TLS: leave Listener out, or pass tls.NewListener to StartWithConfig")
	}
	if sc.TLSConfig == nil { // Echo's default, here to get the certificate that Echo puts in
		sc.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	}
	begin := func(sc echo.StartConfig) error {
		cert, err := content(sc, certFile)
		if err != nil {
			return err
		}
		key, err := content(sc, keyFile)
		if err != nil {
			return err
		}
		return sc.StartTLS(ctx, h, cert, key)
	}
	return start(ctx, h, sc, begin, opts)
}

// content reads the file that v names, where Echo would look for it in the current
// directory and take no path that leads out of it.
func content(sc echo.StartConfig, v any) (any, error) {
	if path, ok := v.(string); ok && sc.CertFilesystem == nil {
		return os.ReadFile(path)
	}
	return v, nil
}

// errSetUp ends Echo's own start when the server is set up.
var errSetUp = errors.New("echox: set up")

// start serves h with the server that Echo makes, by begin.
func start(ctx context.Context, h http.Handler, sc echo.StartConfig, begin func(echo.StartConfig) error, opts []core.Option) error {
	if sc.GracefulTimeout > 0 {
		opts = append([]core.Option{core.WithDrainTimeout(sc.GracefulTimeout)}, opts...)
	}
	forget := func() bool { return false }
	err := core.Run(func(u *core.Upgrader) error {
		ln := sc.Listener
		if ln == nil {
			var err error
			if ln, err = u.Listen(ctx, cmp.Or(sc.ListenerNetwork, "tcp"), sc.Address); err != nil {
				return err
			}
		}
		srv, err := server(ctx, h, sc, ln, begin)
		if err != nil {
			return err
		}
		if sc.GracefulTimeout >= 0 {
			forget = context.AfterFunc(ctx, func() { _ = u.Stop(context.Background()) })
		}
		if sc.TLSConfig == nil || sc.Listener != nil { // which speaks TLS itself or not at all
			return u.Attach(srv, ln)
		}
		srv.TLSConfig = sc.TLSConfig
		restrict(srv)
		return u.AttachTLS(srv, ln, "", "")
	}, opts...)
	forget()
	if sc.Listener != nil && !errors.Is(err, core.ErrRunning) { // then it may be the other's
		_ = sc.Listener.Close()
	}
	if errors.Is(err, core.ErrCut) && sc.OnShutdownError != nil {
		sc.OnShutdownError(err)
	}
	return err
}

// server has Echo make its server, by begin, and log that it starts. Echo shows its
// server to BeforeServeFunc and nowhere else.
func server(ctx context.Context, h http.Handler, sc echo.StartConfig, ln net.Listener, begin func(echo.StartConfig) error) (srv *http.Server, err error) {
	before := sc.BeforeServeFunc
	sc.Listener = unclosed{ln}
	sc.BeforeServeFunc = func(s *http.Server) error {
		srv = s
		if before != nil {
			if err := before(s); err != nil {
				return err
			}
		}
		return errSetUp
	}
	if err := begin(sc); !errors.Is(err, errSetUp) {
		return nil, fmt.Errorf("echox: %w", err)
	}
	announce(ctx, h, sc)
	return srv, nil
}

// announce has Echo log its banner and where it listens. It does that right before it
// serves, so it gets a server that is closed already.
func announce(ctx context.Context, h http.Handler, sc echo.StartConfig) {
	sc.ListenerAddrFunc = nil
	sc.BeforeServeFunc = (*http.Server).Close
	_ = sc.Start(ctx, h)
}

// restrict leaves HTTP/2 out where srv.TLSConfig does not offer it, as Echo does; net/http adds it otherwise.
func restrict(srv *http.Server) {
	if c := srv.TLSConfig; srv.Protocols == nil && c.GetConfigForClient == nil && !slices.Contains(c.NextProtos, "h2") {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
	}
}

// unclosed is a listener that stays open.
type unclosed struct{ net.Listener }

func (unclosed) Close() error { return nil }

//go:build unix

package spec_test

import (
	"context"
	"crypto/tls"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/echox"
)

// echoStops are Echo's own ways to stop. They do not reach a server that is not Echo's, see StartServer.
var echoStops = []string{"e.Shutdown", "e.Close"}

var echoFramework = framework{name: "echo", methods: []method{
	{name: "Start", kind: plain, slow: true, stops: echoStops, serve: func(p *process) error {
		return echox.Start(echoApp(p), p.address, p.opts...)
	}},
	{name: "StartTLS", kind: secure, stops: echoStops, serve: func(p *process) error {
		return echox.StartTLS(echoApp(p), p.address, p.cert(), p.key(), p.opts...)
	}},
	{name: "StartTLS with bytes", kind: secure, serve: with(readPair, func(p *process, pair [2][]byte) error {
		return echox.StartTLS(echoApp(p), p.address, pair[0], pair[1], p.opts...)
	})},
	{name: "StartTLS without HTTP/2", kind: secure1, slow: true, serve: func(p *process) error {
		e := echoApp(p)
		e.DisableHTTP2 = true
		return echox.StartTLS(e, p.address, p.cert(), p.key(), p.opts...)
	}},
	{name: "StartAutoTLS", kind: secure, stops: echoStops, serve: func(p *process) error {
		e := echoApp(p)
		e.AutoTLSManager.Cache = autocert.DirCache(filepath.Join(p.site, "autocert"))
		e.AutoTLSManager.HostPolicy = autocert.HostWhitelist(serverName)
		return echox.StartAutoTLS(e, p.address, p.opts...)
	}},
	{name: "StartH2CServer", kind: h2c, stops: echoStops, serve: func(p *process) error {
		return echox.StartH2CServer(echoApp(p), p.address, &http2.Server{MaxConcurrentStreams: 100}, p.opts...)
	}},
	{name: "StartServer", kind: plain, slow: true, stops: serverStops, serve: func(p *process) error {
		e := echoApp(p)
		return echox.StartServer(e, p.server(e), p.opts...)
	}},
	{name: "StartServer with TLSConfig", kind: secure1, stops: serverStops,
		serve: with(tlsConfig, func(p *process, cfg *tls.Config) error {
			e := echoApp(p)
			srv := p.server(e)
			srv.TLSConfig = cfg // without "h2", as Echo takes it
			return echox.StartServer(e, srv, p.opts...)
		})},
	{name: "Start on a Listener", kind: plain, serve: with(ownListener, echoStartOn)},
	{name: "Start on a unix Listener", kind: socket, stops: echoStops, serve: with(listenUnix, echoStartOn)},
	{name: "StartTLS on a TLSListener", kind: secure, stops: echoStops,
		serve: with(listenTLS, func(p *process, ln net.Listener) error {
			e := echoApp(p)
			e.TLSListener = ln
			return echox.StartTLS(e, ":https", p.cert(), p.key(), p.opts...) // an address that is not used
		})},
	{name: "Start with ListenerNetwork tcp4", kind: plain, serve: func(p *process) error {
		e := echoApp(p)
		e.ListenerNetwork = "tcp4"
		return echox.Start(e, p.address, p.opts...)
	}},
	{name: "Start with ListenerNetwork unix", kind: socket, serve: func(p *process) error {
		e := echoApp(p)
		e.ListenerNetwork = "unix"
		return echox.Start(e, p.address, p.opts...)
	}},
}}

func echoStartOn(p *process, ln net.Listener) error {
	e := echoApp(p)
	e.Listener = ln
	return echox.Start(e, ":http", p.opts...) // an address that is not used
}

// readPair reads the certificate and its key.
func readPair(p *process) (pair [2][]byte, err error) {
	if pair[0], err = os.ReadFile(p.cert()); err == nil {
		pair[1], err = os.ReadFile(p.key())
	}
	return pair, err
}

func echoApp(p *process) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard)
	e.StdLogger.SetOutput(io.Discard)
	e.Validator = userValidator{}
	e.Server.ReadHeaderTimeout, e.TLSServer.ReadHeaderTimeout = p.headerTimeout, p.headerTimeout
	p.stops["e.Shutdown"] = func() error { return e.Shutdown(context.Background()) }
	p.stops["e.Close"] = e.Close
	e.Use(echox.Readiness(echox.ReadinessConfig{
		Skipper: func(c echo.Context) bool { return skips(c.Request()) },
		Checks:  p.checks,
	}), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			identify(c.Response().Header(), c.Request())
			return next(c)
		}
	}, middleware.Recover())
	echoRoutes(p, func(method, path string, h func(echo.Context) error) { e.Add(method, path, h) },
		func(c echo.Context) http.ResponseWriter { return c.Response() })
	e.Group("/admin", middleware.BasicAuth(func(name, pass string, c echo.Context) (bool, error) {
		c.Set("name", name)
		return name == admin && pass == password, nil
	})).GET("/", greetName)
	e.Static("/static", p.static())
	p.built(e)
	return e
}

// echoContext is what both versions of Echo can do.
type echoContext interface {
	Request() *http.Request
	Param(name string) string
	QueryParam(name string) string
	FormFile(name string) (*multipart.FileHeader, error)
	Bind(v any) error
	Validate(v any) error
	Get(key string) any
	Blob(status int, contentType string, b []byte) error
	JSON(status int, v any) error
	String(status int, s string) error
	NoContent(status int) error
}

// echoRoutes adds what handlers of both versions of Echo are alike for.
func echoRoutes[C echoContext](
	p *process, add func(method, path string, h func(C) error), writer func(C) http.ResponseWriter,
) {
	body := func(c C) error {
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return c.String(http.StatusBadRequest, err.Error())
		}
		return c.Blob(http.StatusOK, "text/plain", body)
	}
	add("GET", "/", body)
	add("POST", "/", body)
	add("POST", "/held", func(c C) error {
		p.hold(c.Request().Context())
		return body(c)
	})
	add("GET", "/users/:id", func(c C) error { return c.JSON(http.StatusOK, found{c.Param("id")}) })
	add("POST", "/users", func(c C) error {
		var u user
		if err := c.Bind(&u); err != nil {
			return err
		}
		if err := c.Validate(&u); err != nil {
			return c.String(http.StatusBadRequest, err.Error())
		}
		return c.JSON(http.StatusCreated, u)
	})
	add("GET", "/panic", func(C) error { panic("as asked") })
	add("POST", "/upload", func(c C) error {
		header, err := c.FormFile("file")
		if err != nil {
			return c.String(http.StatusBadRequest, err.Error())
		}
		got, err := receive(header)
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "text/plain", got)
	})
	add("GET", "/stream", func(c C) error { return stream(c.Request(), writer(c)) })
	add("POST", "/shutdown", func(c C) error { return c.NoContent(p.shutDown(c.QueryParam("how"))) })
}

// greetName answers with what the authentication has found.
func greetName[C echoContext](c C) error { return c.String(http.StatusOK, c.Get("name").(string)) }

// userValidator is what Echo asks for: it has no validation of its own.
type userValidator struct{}

func (userValidator) Validate(v any) error { return v.(*user).valid() }

//go:build unix

package spec_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/echox"
)

// echoStops are Echo's own ways to stop. They do not reach a server that is not
// Echo's, see StartServer.
var echoStops = []string{"e.Shutdown", "e.Close"}

var echoFramework = framework{name: "echo", methods: []method{
	{name: "Start", kind: plain, slow: true, stops: echoStops, serve: func(p *process) error {
		return echox.Start(echoApp(p), p.address, p.opts...)
	}},
	{name: "StartTLS", kind: secure, stops: echoStops, serve: func(p *process) error {
		return echox.StartTLS(echoApp(p), p.address, p.cert(), p.key(), p.opts...)
	}},
	{name: "StartTLS with bytes", kind: secure, serve: func(p *process) error {
		cert, key, err := p.pair()
		if err != nil {
			return err
		}
		return echox.StartTLS(echoApp(p), p.address, cert, key, p.opts...)
	}},
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
	{name: "StartServer with TLSConfig", kind: secure1, stops: serverStops, serve: func(p *process) error {
		e := echoApp(p)
		srv := p.server(e)
		var err error
		if srv.TLSConfig, err = p.tlsConfig(); err != nil { // without "h2", as Echo takes it
			return err
		}
		return echox.StartServer(e, srv, p.opts...)
	}},
	{name: "Start on a Listener", kind: plain, serve: func(p *process) error {
		return p.startOn("tcp")
	}},
	{name: "Start on a unix Listener", kind: socket, stops: echoStops, serve: func(p *process) error {
		return p.startOn("unix")
	}},
	{name: "StartTLS on a TLSListener", kind: secure, stops: echoStops, serve: func(p *process) error {
		e := echoApp(p)
		var err error
		if e.TLSListener, err = p.listenTLS(); err != nil {
			return err
		}
		return echox.StartTLS(e, ":https", p.cert(), p.key(), p.opts...) // an address that is not used
	}},
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

func (p *process) startOn(network string) error {
	e := echoApp(p)
	var err error
	if e.Listener, err = p.listen(network); err != nil {
		return err
	}
	return echox.Start(e, ":http", p.opts...) // an address that is not used
}

// pair reads the certificate and its key.
func (p *process) pair() (cert, key []byte, err error) {
	if cert, err = os.ReadFile(p.cert()); err == nil {
		key, err = os.ReadFile(p.key())
	}
	return cert, key, err
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
	body := func(c echo.Context) error {
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, err.Error())
		}
		return c.Blob(http.StatusOK, echo.MIMETextPlain, body)
	}
	e.GET("/", body)
	e.POST("/", body)
	e.POST("/held", func(c echo.Context) error {
		p.hold(c.Request().Context())
		return body(c)
	})
	e.GET("/users/:id", func(c echo.Context) error { return c.JSON(http.StatusOK, found{c.Param("id")}) })
	e.POST("/users", func(c echo.Context) error {
		var u user
		if err := c.Bind(&u); err != nil {
			return err
		}
		if err := c.Validate(&u); err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, err.Error())
		}
		return c.JSON(http.StatusCreated, u)
	})
	group := e.Group("/admin", middleware.BasicAuth(func(name, pass string, c echo.Context) (bool, error) {
		c.Set("name", name)
		return name == admin && pass == password, nil
	}))
	group.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, c.Get("name").(string)) })
	e.GET("/panic", func(echo.Context) error { panic("as asked") })
	e.POST("/upload", func(c echo.Context) error {
		header, err := c.FormFile("file")
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, err.Error())
		}
		got, err := receive(header)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, got)
	})
	e.GET("/stream", func(c echo.Context) error { return stream(c.Request(), sendTo(c.Response())) })
	e.Static("/static", p.static())
	e.POST("/shutdown", func(c echo.Context) error { return c.NoContent(p.shutDown(c.QueryParam("how"))) })
	p.built(e)
	return e
}

// userValidator is what Echo asks for: it has no validation of its own.
type userValidator struct{}

func (userValidator) Validate(v any) error { return v.(*user).valid() }

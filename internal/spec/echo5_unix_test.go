//go:build unix

package spec_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	echox "github.com/gracex-go/gracex/echox/v5"
)

// contextStop is the one way to stop that Echo 5 has: the end of the context.
var contextStop = []string{"cancel"}

var echo5Framework = framework{name: "echo5", methods: []method{
	{name: "Start", kind: plain, serve: func(p *process) error {
		return echox.Start(echo5App(p), p.address, p.opts...)
	}},
	{name: "StartTLS", kind: secure, serve: func(p *process) error {
		return echox.StartTLS(echo5App(p), p.address, p.cert(), p.key(), p.opts...)
	}},
	{name: "StartTLS with bytes", kind: secure, serve: func(p *process) error {
		cert, key, err := p.pair()
		if err != nil {
			return err
		}
		return echox.StartTLS(echo5App(p), p.address, cert, key, p.opts...)
	}},
	{name: "StartWithConfig", kind: plain, slow: true, stops: contextStop, says: configSays, serve: func(p *process) error {
		return echox.StartWithConfig(p.ctx(), echo5App(p), p.config(), p.opts...)
	}},
	{name: "StartWithConfig and TLSConfig", kind: secure1, stops: contextStop, says: configSays, serve: func(p *process) error {
		sc := p.config()
		var err error
		if sc.TLSConfig, err = p.tlsConfig(); err != nil { // without "h2", as Echo takes it
			return err
		}
		return echox.StartWithConfig(p.ctx(), echo5App(p), sc, p.opts...)
	}},
	{name: "StartWithConfig on a Listener", kind: socket, stops: contextStop, says: configSays, serve: func(p *process) error {
		sc := p.config()
		var err error
		if sc.Listener, err = p.listen("unix"); err != nil {
			return err
		}
		return echox.StartWithConfig(p.ctx(), echo5App(p), sc, p.opts...)
	}},
	{name: "StartWithConfig on a TLS Listener", kind: secure, stops: contextStop, says: configSays, serve: func(p *process) error {
		sc := p.config()
		var err error
		if sc.Listener, err = p.listenTLS(); err != nil {
			return err
		}
		return echox.StartWithConfig(p.ctx(), echo5App(p), sc, p.opts...)
	}},
	{name: "StartWithConfig with ListenerNetwork unix", kind: socket, says: configSays, serve: func(p *process) error {
		sc := p.config()
		sc.ListenerNetwork = "unix"
		return echox.StartWithConfig(p.ctx(), echo5App(p), sc, p.opts...)
	}},
	{name: "StartTLSWithConfig", kind: secure, stops: contextStop, says: configSays, serve: func(p *process) error {
		sc := p.config()
		sc.CertFilesystem = os.DirFS(p.site)
		return echox.StartTLSWithConfig(p.ctx(), echo5App(p), sc, filepath.Base(p.cert()), filepath.Base(p.key()), p.opts...)
	}},
}}

// configSays is what the functions of process.config log.
var configSays = []string{"ListenerAddrFunc", "BeforeServeFunc"}

func (p *process) config() echo.StartConfig {
	return echo.StartConfig{
		Address:    p.address,
		HideBanner: true,
		HidePort:   true,
		ListenerAddrFunc: func(addr net.Addr) {
			p.say("ListenerAddrFunc", "address", addr.String())
		},
		BeforeServeFunc: func(srv *http.Server) error {
			p.say("BeforeServeFunc")
			srv.ReadHeaderTimeout = p.headerTimeout
			return nil
		},
	}
}

// ctx ends when the program stops itself.
func (p *process) ctx() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	p.stops["cancel"] = func() error {
		cancel()
		return nil
	}
	return ctx
}

func echo5App(p *process) *echo.Echo {
	e := echo.New()
	e.Logger = p.log
	e.Validator = userValidator{}
	e.Use(echox.Readiness(echox.ReadinessConfig{
		Skipper: func(c *echo.Context) bool { return skips(c.Request()) },
		Checks:  p.checks,
	}), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			identify(c.Response().Header(), c.Request())
			return next(c)
		}
	}, middleware.Recover())
	body := func(c *echo.Context) error {
		body, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, err.Error())
		}
		return c.Blob(http.StatusOK, echo.MIMETextPlain, body)
	}
	e.GET("/", body)
	e.POST("/", body)
	e.POST("/held", func(c *echo.Context) error {
		p.hold(c.Request().Context())
		return body(c)
	})
	e.GET("/users/:id", func(c *echo.Context) error { return c.JSON(http.StatusOK, found{c.Param("id")}) })
	e.POST("/users", func(c *echo.Context) error {
		var u user
		if err := c.Bind(&u); err != nil {
			return err
		}
		if err := c.Validate(&u); err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, err.Error())
		}
		return c.JSON(http.StatusCreated, u)
	})
	group := e.Group("/admin", middleware.BasicAuth(func(c *echo.Context, name, pass string) (bool, error) {
		c.Set("name", name)
		return name == admin && pass == password, nil
	}))
	group.GET("/", func(c *echo.Context) error { return c.String(http.StatusOK, c.Get("name").(string)) })
	e.GET("/panic", func(*echo.Context) error { panic("as asked") })
	e.POST("/upload", func(c *echo.Context) error {
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
	e.GET("/stream", func(c *echo.Context) error { return stream(c.Request(), sendTo(c.Response())) })
	e.Filesystem = echo.NewDefaultFS(p.static())
	e.Static("/static", ".")
	e.POST("/shutdown", func(c *echo.Context) error { return c.NoContent(p.shutDown(c.QueryParam("how"))) })
	p.built(e)
	return e
}

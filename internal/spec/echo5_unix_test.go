//go:build unix

package spec_test

import (
	"context"
	"crypto/tls"
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
	{name: "StartTLS with bytes", kind: secure, serve: with(readPair, func(p *process, pair [2][]byte) error {
		return echox.StartTLS(echo5App(p), p.address, pair[0], pair[1], p.opts...)
	})},
	{name: "StartWithConfig", kind: plain, slow: true, stops: contextStop, says: configSays,
		serve: func(p *process) error { return p.startWith(p.config()) }},
	{name: "StartWithConfig and TLSConfig", kind: secure1, stops: contextStop, says: configSays,
		serve: with(tlsConfig, func(p *process, cfg *tls.Config) error {
			sc := p.config()
			sc.TLSConfig = cfg // without "h2", as Echo takes it
			return p.startWith(sc)
		})},
	{name: "StartWithConfig on a Listener", kind: socket, stops: contextStop, says: configSays,
		serve: with(listenUnix, echo5StartOn)},
	{name: "StartWithConfig on a TLS Listener", kind: secure, stops: contextStop, says: configSays,
		serve: with(listenTLS, echo5StartOn)},
	{name: "StartWithConfig with ListenerNetwork unix", kind: socket, says: configSays, serve: func(p *process) error {
		sc := p.config()
		sc.ListenerNetwork = "unix"
		return p.startWith(sc)
	}},
	{name: "StartTLSWithConfig", kind: secure, stops: contextStop, says: configSays, serve: func(p *process) error {
		sc := p.config()
		sc.CertFilesystem = os.DirFS(p.site)
		return echox.StartTLSWithConfig(p.ctx(), echo5App(p), sc, filepath.Base(p.cert()), filepath.Base(p.key()), p.opts...)
	}},
}}

func (p *process) startWith(sc echo.StartConfig) error {
	return echox.StartWithConfig(p.ctx(), echo5App(p), sc, p.opts...)
}

func echo5StartOn(p *process, ln net.Listener) error {
	sc := p.config()
	sc.Listener = ln
	return p.startWith(sc)
}

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
	add := func(method, path string, h func(*echo.Context) error) { e.Add(method, path, h) }
	echoRoutes(p, add, (*echo.Context).Response)
	e.Group("/admin", middleware.BasicAuth(func(c *echo.Context, name, pass string) (bool, error) {
		c.Set("name", name)
		return name == admin && pass == password, nil
	})).GET("/", greetName)
	e.Filesystem = echo.NewDefaultFS(p.static())
	e.Static("/static", ".")
	p.built(e)
	return e
}

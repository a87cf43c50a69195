//go:build unix

package spec_test

import (
	"io"
	"net"
	"net/http"
	"strconv"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/macaronx"
)

var macaronFramework = framework{name: "macaron", methods: []method{
	{name: "Run(host, port)", kind: plain, serve: func(p *process) error {
		return macaronx.Run(macaronApp(p), p.host, p.port, p.opts)
	}},
	{name: "Run(port)", kind: plain, serve: func(p *process) error {
		return macaronx.Run(macaronApp(p), p.port, p.opts)
	}},
	{name: "Run(host)", kind: plain, env: []string{"PORT=$port"}, serve: func(p *process) error {
		return macaronx.Run(macaronApp(p), p.host, p.opts)
	}},
	{name: "Run(:port)", kind: plain, serve: func(p *process) error {
		return macaronx.Run(macaronApp(p), ":"+strconv.Itoa(p.port), p.opts)
	}},
	{name: "Run()", kind: plain, env: []string{"HOST=$host", "PORT=$port"}, serve: func(p *process) error {
		return macaronx.Run(macaronApp(p), p.opts)
	}},
	{name: "RunAddr", kind: plain, serve: func(p *process) error {
		return macaronx.RunAddr(macaronApp(p), p.address, p.opts...)
	}},
	{name: "RunTLS", kind: secure, serve: func(p *process) error {
		return macaronx.RunTLS(macaronApp(p), p.address, p.cert(), p.key(), p.opts...)
	}},
	{name: "RunUnix", kind: socket, serve: func(p *process) error {
		return macaronx.RunUnix(macaronApp(p), p.address, p.opts...)
	}},
	{name: "RunListener", kind: wrapped, serve: with(listenWrapped, macaronRunListener)},
	{name: "RunListener with net.Listen", kind: plain, foreign: true, serve: with(listenForeign, macaronRunListener)},
	{name: "SelfMacaron.Run", kind: plain, serve: func(p *process) error {
		return p.selfMacaron().Run(p.host, p.port)
	}},
	{name: "SelfMacaron.RunTLS", kind: secure, serve: func(p *process) error {
		return p.selfMacaron().RunTLS(p.address, p.cert(), p.key())
	}},
	{name: "http.Server", kind: plain, slow: true, stops: serverStops, serve: func(p *process) error {
		return core.Serve(p.server(macaronApp(p)), p.opts...)
	}},
}}

func (p *process) selfMacaron() *macaronx.SelfMacaron {
	return &macaronx.SelfMacaron{Macaron: macaronApp(p), RunOptions: p.opts}
}

func macaronRunListener(p *process, ln net.Listener) error {
	return macaronx.RunListener(macaronApp(p), ln, p.opts...)
}

// Several apps of one process are made at the same time, so it is set once.
func init() { macaron.Env = macaron.PROD }

// macaronApp is the app in Macaron, whose binding and basic authentication are modules of their own: here both are by
// hand.
func macaronApp(p *process) *macaron.Macaron {
	m := macaron.NewWithLogger(io.Discard)
	m.Use(macaronx.Readiness(macaronx.ReadinessConfig{
		Skipper: func(c *macaron.Context) bool { return skips(c.Req.Request) },
		Checks:  p.checks,
	}))
	m.Use(func(c *macaron.Context) { identify(c.Resp.Header(), c.Req.Request) })
	m.Use(macaron.Recovery())
	m.Use(macaron.Static(p.static(), macaron.StaticOptions{Prefix: "static", SkipLogging: true}))
	m.Use(macaron.Renderer())
	echo := func(c *macaron.Context) (int, string) {
		body, err := c.Req.Body().String()
		if err != nil {
			return http.StatusBadRequest, err.Error()
		}
		return http.StatusOK, body
	}
	m.Get("/", echo)
	m.Post("/", echo)
	m.Post("/held", func(c *macaron.Context) (int, string) {
		p.hold(c.Req.Context())
		return echo(c)
	})
	m.Get("/users/:id", func(c *macaron.Context) { c.JSON(http.StatusOK, found{c.Params("id")}) })
	m.Post("/users", func(c *macaron.Context) {
		u, err := decodeUser(c.Req.Body().ReadCloser())
		if err != nil {
			c.Error(http.StatusBadRequest, err.Error())
			return
		}
		c.JSON(http.StatusCreated, u)
	})
	m.Group("/admin", func() {
		m.Get("/", func() string { return admin })
	}, func(c *macaron.Context) {
		if name, pass, ok := c.Req.BasicAuth(); !ok || name != admin || pass != password {
			c.Resp.Header().Set("WWW-Authenticate", "Basic")
			c.Status(http.StatusUnauthorized)
		}
	})
	m.Get("/panic", func() { panic("as asked") })
	m.Post("/upload", func(c *macaron.Context) (int, string) {
		_, header, err := c.GetFile("file")
		if err != nil {
			return http.StatusBadRequest, err.Error()
		}
		got, err := receive(header)
		if err != nil {
			return http.StatusInternalServerError, err.Error()
		}
		return http.StatusOK, string(got)
	})
	m.Get("/stream", func(c *macaron.Context) { _ = stream(c.Req.Request, c.Resp) })
	m.Post("/shutdown", func(c *macaron.Context) { c.Status(p.shutDown(c.Query("how"))) })
	p.built(m)
	return m
}

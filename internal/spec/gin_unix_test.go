//go:build unix

package spec_test

import (
	"io"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
)

var ginFramework = framework{name: "gin", methods: []method{
	{name: "Run", kind: plain, serve: func(p *process) error {
		return ginx.Run(ginApp(p), p.address, p.opts...)
	}},
	{name: "RunTLS", kind: secure, serve: func(p *process) error {
		return ginx.RunTLS(ginApp(p), p.address, p.cert(), p.key(), p.opts...)
	}},
	{name: "RunUnix", kind: socket, serve: func(p *process) error {
		return ginx.RunUnix(ginApp(p), p.address, p.opts...)
	}},
	{name: "RunFd", kind: plain, fd: true, serve: func(p *process) error {
		return ginx.RunFd(ginApp(p), 4, p.opts...)
	}},
	{name: "RunListener", kind: wrapped, serve: with(listenWrapped, ginRunListener)},
	{name: "RunListener with net.Listen", kind: plain, foreign: true, serve: with(listenForeign, ginRunListener)},
	{name: "UseH2C", kind: h2c, serve: func(p *process) error {
		r := ginApp(p)
		r.UseH2C = true
		return ginx.Run(r, p.address, p.opts...)
	}},
	{name: "http.Server", kind: plain, slow: true, stops: serverStops, serve: func(p *process) error {
		return core.Serve(p.server(ginApp(p)), p.opts...)
	}},
}}

func ginRunListener(p *process, ln net.Listener) error {
	return ginx.RunListener(ginApp(p), ln, p.opts...)
}

func ginApp(p *process) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(ginx.Readiness(ginx.ReadinessConfig{
		Skipper: func(c *gin.Context) bool { return skips(c.Request) },
		Checks:  p.checks,
	}), func(c *gin.Context) { identify(c.Writer.Header(), c.Request) }, gin.RecoveryWithWriter(io.Discard))
	echo := func(c *gin.Context) {
		body, err := io.ReadAll(c.Request.Body)
		if err != nil {
			_ = c.AbortWithError(http.StatusBadRequest, err)
			return
		}
		c.Data(http.StatusOK, "text/plain", body)
	}
	r.GET("/", echo)
	r.POST("/", echo)
	r.POST("/held", func(c *gin.Context) {
		p.hold(c.Request.Context())
		echo(c)
	})
	r.GET("/users/:id", func(c *gin.Context) { c.JSON(http.StatusOK, found{c.Param("id")}) })
	r.POST("/users", func(c *gin.Context) {
		var u user
		if c.BindJSON(&u) == nil { // it answers 400 itself
			c.JSON(http.StatusCreated, u)
		}
	})
	group := r.Group("/admin", gin.BasicAuth(gin.Accounts{admin: password}))
	group.GET("/", func(c *gin.Context) { c.String(http.StatusOK, c.MustGet(gin.AuthUserKey).(string)) })
	r.GET("/panic", func(*gin.Context) { panic("as asked") })
	r.POST("/upload", func(c *gin.Context) {
		header, err := c.FormFile("file")
		if err != nil {
			_ = c.AbortWithError(http.StatusBadRequest, err)
			return
		}
		got, err := receive(header)
		if err != nil {
			_ = c.AbortWithError(http.StatusInternalServerError, err)
			return
		}
		c.Data(http.StatusOK, "text/plain", got)
	})
	r.GET("/stream", func(c *gin.Context) { _ = stream(c.Request, c.Writer) })
	r.Static("/static", p.static())
	r.POST("/shutdown", func(c *gin.Context) { c.Status(p.shutDown(c.Query("how"))) })
	p.built(r)
	return r
}

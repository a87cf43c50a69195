package main

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/gracex-go/gracex/core"
)

// eventPause is the time between two events of a stream.
const eventPause = 50 * time.Millisecond

var (
	ordersTaken = promauto.NewCounter(prometheus.CounterOpts{
		Name: "shop_orders_total", Help: "Orders that this process has taken.",
	})
	_ = promauto.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "shop_generation", Help: "The number of upgrades before this process.",
	}, func() float64 { return float64(core.Generation()) })
)

// router has the pages of the shop. The templates are those of the working directory, so they belong to the release.
func router(st *store, greeting string) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), signed)
	r.LoadHTMLGlob("templates/*")
	r.GET("/", func(c *gin.Context) {
		n, err := st.counts(c.Request.Context())
		if err != nil {
			fail(c, err)
			return
		}
		c.HTML(http.StatusOK, "index.html", gin.H{"Greeting": greeting, "Orders": n.orders, "Jobs": n.jobs})
	})
	r.POST("/", func(c *gin.Context) { order(c, st) })
	r.GET("/jobs", func(c *gin.Context) {
		jobs, err := st.jobs(c.Request.Context())
		if err != nil {
			fail(c, err)
			return
		}
		c.JSON(http.StatusOK, jobs)
	})
	r.GET("/events", func(c *gin.Context) { events(c, st) })
	return r
}

// signed says in each answer which process has given it.
func signed(c *gin.Context) {
	c.Header("X-Pid", strconv.Itoa(os.Getpid()))
	c.Header("X-Generation", strconv.Itoa(core.Generation()))
}

func fail(c *gin.Context, err error) {
	c.String(http.StatusInternalServerError, "%v\n", err)
}

// order takes an order, and answers with its text.
func order(c *gin.Context, st *store) {
	text, err := io.ReadAll(c.Request.Body)
	if err != nil {
		c.String(http.StatusBadRequest, "%v\n", err)
		return
	}
	if err := st.order(c.Request.Context()); err != nil {
		fail(c, err)
		return
	}
	ordersTaken.Inc()
	c.Data(http.StatusOK, "text/plain; charset=utf-8", text)
}

// events streams the number of orders. When this process is to end, it says goodbye, and the client comes back to the
// next one.
func events(c *gin.Context, st *store) {
	ctx := c.Request.Context()
	draining := core.Draining(ctx)
	c.Stream(func(io.Writer) bool {
		n, err := st.counts(ctx)
		if err != nil {
			c.SSEvent("failure", err.Error())
			return false
		}
		c.SSEvent("orders", n.orders)
		select {
		case <-time.After(eventPause):
			return true
		case <-draining:
			c.SSEvent("goodbye", "come back")
			return false
		}
	})
}

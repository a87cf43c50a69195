package ginx

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
)

// The paths that Readiness answers on if its configuration names none.
const (
	DefaultLivePath  = "/livez"
	DefaultReadyPath = "/readyz"
)

// ReadinessConfig configures Readiness. The zero value works. Name the fields in
// a literal: more may come.
type ReadinessConfig struct {
	LivePath  string // empty: DefaultLivePath
	ReadyPath string // empty: DefaultReadyPath
}

// readiness is the body of an answer.
type readiness struct {
	State string `json:"state"`
}

// Readiness returns middleware that answers GET and HEAD on two paths:
//
//	/livez   200 always: the process is alive
//	/readyz  200 while this process is the one that new connections should
//	         reach (core.State.Serving), otherwise 503: it is not ready yet, it
//	         drains or has stopped, or nothing of gracex runs in it
//
// The body is a JSON object whose "state" is the core.State in words. Without a
// config the zero ReadinessConfig holds.
//
// Put it first, r.Use(ginx.Readiness()), and before the routes: it then answers
// ahead of any middleware that asks for a password, counts or logs, it needs no
// route, and a route such as "/:page" does not get in its way.
//
// A check whose request the old process has read, or that comes on a connection
// which can't move to the new one, may see one 503 in an upgrade; the next check
// reaches the new process. Have the load balancer act on the second failure in a
// row.
func Readiness(config ...ReadinessConfig) gin.HandlerFunc {
	var cfg ReadinessConfig
	if len(config) > 0 {
		cfg = config[0]
	}
	live, ready := path(cfg.LivePath, DefaultLivePath), path(cfg.ReadyPath, DefaultReadyPath)
	return func(c *gin.Context) {
		at := c.Request.URL.Path
		if at != live && at != ready || c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead {
			return // to the next handler
		}
		state, status := core.CurrentState(), http.StatusOK
		if at == ready && !state.Serving() {
			status = http.StatusServiceUnavailable
		}
		c.Header("Cache-Control", "no-store")
		c.AbortWithStatusJSON(status, readiness{State: state.String()})
	}
}

// path returns p, or instead if p is empty, with the slash that begins every
// request's path.
func path(p, instead string) string {
	if p == "" {
		return instead
	}
	return "/" + strings.TrimPrefix(p, "/")
}

package ginx

import (
	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
)

// The paths that Readiness answers on if its configuration names none.
const (
	DefaultLivePath  = core.DefaultLivePath
	DefaultReadyPath = core.DefaultReadyPath
)

// ReadinessConfig configures Readiness: other paths, checks of the program's own,
// requests to leave alone. The zero value works.
type ReadinessConfig = core.ReadinessConfigFor[*gin.Context]

// Readiness returns middleware that answers health checks on /livez and /readyz, as
// core.Readiness does. Put it first, r.Use(ginx.Readiness()), and before the routes:
// it then answers ahead of any middleware that asks for a password, counts or logs,
// it needs no route, and a route such as "/:page" does not get in its way.
func Readiness(config ...ReadinessConfig) gin.HandlerFunc {
	answer := core.ReadinessFor(config...)
	return func(c *gin.Context) {
		if answer(c, c.Writer, c.Request) {
			c.Abort()
		}
	}
}

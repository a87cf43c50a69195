package ginx

import (
	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
)

// DefaultLivePath and DefaultReadyPath are the paths on which Readiness answers if its
// configuration names none.
const (
	DefaultLivePath  = core.DefaultLivePath
	DefaultReadyPath = core.DefaultReadyPath
)

// ReadinessConfig configures Readiness. It has other paths, the program's own checks, and
// requests to leave alone. The zero value works.
type ReadinessConfig = core.ReadinessConfigFor[*gin.Context]

// Readiness returns middleware that answers health checks on /livez and /readyz, as core.Readiness does. Put
// it first by r.Use(ginx.Readiness()), before the routes. Then it answers before any middleware that asks for
// a password, counts or logs. It needs no route, and a route such as "/:page" does not match first.
func Readiness(config ...ReadinessConfig) gin.HandlerFunc {
	answer := core.ReadinessFor(config...)
	return func(c *gin.Context) {
		if answer(c, c.Writer, c.Request) {
			c.Abort()
		}
	}
}

package echox

import (
	"github.com/labstack/echo/v5"

	"github.com/gracex-go/gracex/core"
)

// DefaultLivePath and DefaultReadyPath are the paths on which Readiness answers if its
// configuration names none.
const (
	DefaultLivePath  = core.DefaultLivePath
	DefaultReadyPath = core.DefaultReadyPath
)

// ReadinessConfig configures Readiness. It has other paths, the program's own checks, and
// requests to leave alone (Skipper, as in Echo's own middleware). The zero value works.
type ReadinessConfig = core.ReadinessConfigFor[*echo.Context]

// Readiness returns middleware that answers health checks on /livez and /readyz, as core.Readiness does. Put
// it first by e.Use(echox.Readiness()). Then it answers before any middleware that asks for a password,
// counts or logs. It needs no route, and a route such as "/:page" does not match first. Where middleware
// redirects or rewrites before the router, put Readiness first there, by e.Pre.
func Readiness(config ...ReadinessConfig) echo.MiddlewareFunc {
	answer := core.ReadinessFor(config...)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if answer(c, c.Response(), c.Request()) {
				return nil
			}
			return next(c)
		}
	}
}

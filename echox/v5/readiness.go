package echox

import (
	"github.com/labstack/echo/v5"

	"github.com/gracex-go/gracex/core"
)

// The paths that Readiness answers on if its configuration names none.
const (
	DefaultLivePath  = core.DefaultLivePath
	DefaultReadyPath = core.DefaultReadyPath
)

// ReadinessConfig configures Readiness: other paths, checks of the program's own,
// requests to leave alone (Skipper, as in Echo's own middleware). The zero value
// works.
type ReadinessConfig = core.ReadinessConfigFor[*echo.Context]

// Readiness returns middleware that answers health checks on /livez and /readyz, as
// core.Readiness does. Put it first, e.Use(echox.Readiness()): it then answers
// ahead of any middleware that asks for a password, counts or logs, it needs no
// route, and a route such as "/:page" does not get in its way. Where there is middleware
// that redirects or rewrites ahead of the router, it goes first there: e.Pre.
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

package chix

import (
	"net/http"

	"github.com/gracex-go/gracex/core"
)

// The paths that Readiness answers on if its configuration names none.
const (
	DefaultLivePath  = core.DefaultLivePath
	DefaultReadyPath = core.DefaultReadyPath
)

// ReadinessConfig configures Readiness: other paths, checks of the program's own,
// requests to leave alone. The zero value works.
type ReadinessConfig = core.ReadinessConfig

// Readiness returns middleware that answers health checks on /livez and /readyz; it
// is core.Readiness. Put it first, r.Use(chix.Readiness()), and before the routes:
// it then answers ahead of any middleware that asks for a password, counts or logs,
// it needs no route of its own (chi runs middleware once a router has any), and a route
// such as "/{page}" does not get in its way.
func Readiness(config ...ReadinessConfig) func(http.Handler) http.Handler {
	return core.Readiness(config...)
}

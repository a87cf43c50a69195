package chix

import (
	"net/http"

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
type ReadinessConfig = core.ReadinessConfig

// Readiness returns middleware that answers health checks on /livez and /readyz. It is core.Readiness. Put it
// first by r.Use(chix.Readiness()), before the routes. Then it answers before any middleware that asks for a
// password, counts or logs. It needs no route of its own (chi runs middleware if a router has any route), and
// a route such as "/{page}" does not match first.
func Readiness(config ...ReadinessConfig) func(http.Handler) http.Handler {
	return core.Readiness(config...)
}

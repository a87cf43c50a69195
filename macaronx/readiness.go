package macaronx

import (
	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
)

// The paths that Readiness answers on if its configuration names none.
const (
	DefaultLivePath  = core.DefaultLivePath
	DefaultReadyPath = core.DefaultReadyPath
)

// ReadinessConfig configures Readiness: other paths, checks of the program's own,
// requests to leave alone. The zero value works.
type ReadinessConfig = core.ReadinessConfigFor[*macaron.Context]

// Readiness returns a handler that answers health checks on /livez and /readyz, as
// core.Readiness does. Put it first, m.Use(macaronx.Readiness()), which with
// macaron.Classic is after its logger, recovery and static files: it then answers
// ahead of any handler that asks for a password, and needs no route.
func Readiness(config ...ReadinessConfig) macaron.Handler {
	answer := core.ReadinessFor(config...)
	return func(c *macaron.Context) {
		answer(c, c.Resp, c.Req.Request) // Macaron calls no further handler once something is written
	}
}

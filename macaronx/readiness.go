package macaronx

import (
	"gopkg.in/macaron.v1"

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
type ReadinessConfig = core.ReadinessConfigFor[*macaron.Context]

// Readiness returns a handler that answers health checks on /livez and /readyz, as core.Readiness does. Put
// it first by m.Use(macaronx.Readiness()). With macaron.Classic it then comes after the logger, the recovery
// and the static files. It answers before any handler that asks for a password, and needs no route.
func Readiness(config ...ReadinessConfig) macaron.Handler {
	answer := core.ReadinessFor(config...)
	return func(c *macaron.Context) {
		answer(c, c.Resp, c.Req.Request) // Macaron calls no further handler once something is written
	}
}

package core

import (
	"net/http"

	"github.com/gracex-go/gracex/core/health"
)

// Readiness returns middleware that answers GET and HEAD on two paths:
//
//	/livez   200 as long as the process is alive
//	/readyz  200 while new connections should reach this process (State.Serving)
//	         and every check passes; otherwise 503, because the process is not
//	         ready yet, drains, stops or has stopped, or no Upgrader was made
//
// The body is a JSON object. Its "state" is the State in words, and "failed" lists the checks
// that did not pass, with their errors. The response is public, so check errors must not contain
// secrets. The logger of WithLogger is told when a check begins to fail and when it passes again.
// Only the first config is used; without one, the zero value.
//
// Put Readiness outermost. Then it answers before any middleware that asks for a password, counts
// or logs, and a route such as "/{page}" does not match first.
//
// A load balancer needs to see the 503 before the process stops accepting, so set
// WithPreStopDelay. In an upgrade the service stays ready. One request can still see a 503 if the
// old process had already read it, or if it comes on a connection that can't move to the new
// process. Let the load balancer act on the second failure in a row, as HAProxy (fall 3) and
// Kubernetes (failureThreshold 3) do by default.
func Readiness(config ...health.Config) func(http.Handler) http.Handler {
	answer := ReadinessFor(config...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answer(r, w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// ReadinessFor returns the handler of Readiness for a framework's adapter. The handler receives
// the framework's context c of the request, and reports whether it has answered.
func ReadinessFor[C any](config ...health.ConfigFor[C]) func(c C, w http.ResponseWriter, r *http.Request) bool {
	return health.Handler(health.App{
		State: func() (string, bool) {
			s := currentState()
			return s.String(), s.Serving()
		},
		Warn: func(msg string, args ...any) {
			if u := running.Load(); u != nil {
				u.log.Warn(msg, args...)
			}
		},
	}, config...)
}

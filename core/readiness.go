package core

import (
	"encoding/json"
	"net/http"
	"strings"
)

// DefaultLivePath and DefaultReadyPath are the paths on which Readiness answers if its
// configuration names none.
const (
	DefaultLivePath  = "/livez"
	DefaultReadyPath = "/readyz"
)

// ReadinessConfig configures Readiness.
type ReadinessConfig = ReadinessConfigFor[*http.Request]

// ReadinessConfigFor configures the Readiness of an adapter, whose framework calls its context C.
// The zero value works. Name the fields in a literal, because fields can be added.
type ReadinessConfigFor[C any] struct {
	// Skipper returns true for a request that is left to the program. Nil skips none.
	Skipper func(C) bool

	LivePath  string // empty means DefaultLivePath
	ReadyPath string // empty means DefaultReadyPath

	// Checks must pass for an answer of 200 on ReadyPath. They run for each request to it. Use
	// WithReadyCheck for a condition that must hold before the first request.
	Checks []Check
}

// readiness is the body of an answer.
type readiness struct {
	State  string    `json:"state"`
	Failed []failure `json:"failed,omitempty"`
}

// failure is a check that did not pass.
type failure struct {
	Check string `json:"check"`
	Error string `json:"error"`
}

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
func Readiness(config ...ReadinessConfig) func(http.Handler) http.Handler {
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
func ReadinessFor[C any](config ...ReadinessConfigFor[C]) func(c C, w http.ResponseWriter, r *http.Request) bool {
	var cfg ReadinessConfigFor[C]
	if len(config) > 0 {
		cfg = config[0]
	}
	live, ready := rooted(cfg.LivePath, DefaultLivePath), rooted(cfg.ReadyPath, DefaultReadyPath)
	checks := newCheckers(cfg.Checks)
	return func(c C, w http.ResponseWriter, r *http.Request) bool {
		at := r.URL.Path
		if at != live && at != ready || r.Method != http.MethodGet && r.Method != http.MethodHead ||
			cfg.Skipper != nil && cfg.Skipper(c) {
			return false
		}
		var body readiness
		state, status := CurrentState(), http.StatusOK
		if at == ready && state.Serving() {
			body.Failed = checks.run(r.Context())
			state = CurrentState() // a stop does not wait for the checks
		}
		if at == ready && (!state.Serving() || len(body.Failed) > 0) {
			status = http.StatusServiceUnavailable
		}
		body.State = state.String()
		text, _ := json.Marshal(body) // strings: it can't fail
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(text) // a client that is gone
		return true
	}
}

// rooted returns path, or instead if it is empty, with the slash that begins every
// request's path.
func rooted(path, instead string) string {
	if path == "" {
		return instead
	}
	return "/" + strings.TrimPrefix(path, "/")
}

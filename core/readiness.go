package core

import (
	"encoding/json"
	"net/http"
	"strings"
)

// The paths that Readiness answers on if its configuration names none.
const (
	DefaultLivePath  = "/livez"
	DefaultReadyPath = "/readyz"
)

// ReadinessConfig configures Readiness.
type ReadinessConfig = ReadinessConfigFor[*http.Request]

// ReadinessConfigFor configures the Readiness of an adapter, whose framework calls its
// context C. The zero value works. Name the fields in a literal: more may come.
type ReadinessConfigFor[C any] struct {
	// Skipper leaves a request to the program when it returns true. Nil skips none.
	Skipper func(C) bool

	LivePath  string // empty: DefaultLivePath
	ReadyPath string // empty: DefaultReadyPath

	// Checks must pass for an answer of 200 on ReadyPath, each time it is asked
	// for. WithReadyCheck is for what must hold before the first request.
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
//	/livez   200 always: the process is alive
//	/readyz  200 while this process is the one that new connections should
//	         reach (State.Serving) and every check passes, otherwise 503: it is not
//	         ready yet, it drains, stops or has stopped, or nothing of gracex runs
//	         in it
//
// The body is a JSON object: "state" is the State in words, "failed" lists the
// checks that did not pass, with their errors. Whoever may ask reads them: a check
// should return an error that says no more than all may know. WithLogger's logger is
// told when a check begins to fail and when it passes again. Without a config the zero
// ReadinessConfig holds; more than one make no sense.
//
// Put it outermost: it then answers ahead of what asks for a password, counts or
// logs, and a route such as "/{page}" does not get in its way.
//
// A load balancer needs to see the 503 before the process stops accepting: see
// WithPreStopDelay. In an upgrade the service stays ready, but a request that
// the old process had read, or that comes on a connection which can't move to the
// new one, may see one 503. Have the load balancer act on the second failure in a
// row, as HAProxy (fall 3) and Kubernetes (failureThreshold 3) do by default.
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

// ReadinessFor is for the adapter of a framework: it returns what Readiness does
// with a request, whose context in the framework is c, and which reports whether it
// has answered.
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

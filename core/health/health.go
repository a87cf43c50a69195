// Package health answers the health checks of load balancers and of Kubernetes. core.Readiness and
// the Readiness of each adapter are made of it. A program uses Config and Check.
package health

import (
	"encoding/json"
	"net/http"
	"strings"
)

// DefaultLivePath and DefaultReadyPath are the paths that a Config means that names none.
const (
	DefaultLivePath  = "/livez"
	DefaultReadyPath = "/readyz"
)

// Config configures core.Readiness.
type Config = ConfigFor[*http.Request]

// ConfigFor configures the Readiness of an adapter, whose framework calls its context C.
// The zero value works. Name the fields in a literal, because fields can be added.
type ConfigFor[C any] struct {
	// Skipper returns true for a request that is left to the program. Nil skips none.
	Skipper func(C) bool

	LivePath  string // empty means DefaultLivePath
	ReadyPath string // empty means DefaultReadyPath

	// Checks must pass for an answer of 200 on ReadyPath. They run for each request to it. Use
	// core.WithReadyCheck for a condition that must hold before the first request.
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

// App is the process whose health is asked for.
type App struct {
	// State returns the state of the process in one word, and whether new connections should
	// reach it.
	State func() (word string, serving bool)
	// Warn logs when a check begins to fail and when it passes again.
	Warn func(msg string, args ...any)
}

// Handler returns the handler of core.Readiness and of the adapters. It receives the framework's
// context c of the request, and reports whether it has answered. Only the first config is used;
// without one, the zero value.
func Handler[C any](app App, config ...ConfigFor[C]) func(c C, w http.ResponseWriter, r *http.Request) bool {
	var cfg ConfigFor[C]
	if len(config) > 0 {
		cfg = config[0]
	}
	live, ready := rooted(cfg.LivePath, DefaultLivePath), rooted(cfg.ReadyPath, DefaultReadyPath)
	checks := newCheckers(cfg.Checks, app.Warn)
	return func(c C, w http.ResponseWriter, r *http.Request) bool {
		at := r.URL.Path
		if at != live && at != ready || r.Method != http.MethodGet && r.Method != http.MethodHead ||
			cfg.Skipper != nil && cfg.Skipper(c) {
			return false
		}
		var body readiness
		state, serving := app.State()
		if at == ready && serving {
			body.Failed = checks.run(r.Context())
			state, serving = app.State() // a stop does not wait for the checks
		}
		status := http.StatusOK
		if at == ready && (!serving || len(body.Failed) > 0) {
			status = http.StatusServiceUnavailable
		}
		body.State = state
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

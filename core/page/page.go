package page

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// Source is the app that a page shows, or a way to ask it. A *control.Client is one.
type Source interface {
	Status(ctx context.Context) (control.Status, error)
	Totals(ctx context.Context, measure time.Duration) (control.Totals, error)
	Events(ctx context.Context, since time.Time, f func(control.Event)) error
	Upgrade(ctx context.Context, opts control.UpgradeOptions) (control.Outcome, error)
	Rollback(ctx context.Context, reason string) error
	Promote(ctx context.Context) error
	Stop(ctx context.Context) error
}

var _ Source = (*control.Client)(nil)

// Config says what a page shows, and what it may do.
type Config struct {
	// Source is the app. It is required: Own for the app of this process, or a *control.Client for another one.
	Source Source

	// Actions reports whether a request may upgrade, roll back, promote and stop the app. Nil means that none may: the
	// page has no buttons then. A request of another site's page is refused before.
	Actions func(*http.Request) bool
}

// handler is the page of one app.
type handler struct {
	Config
	samples  sampler
	forgery  *http.CrossOriginProtection
	requests map[string]http.HandlerFunc // by method and the last part of the path
}

// Handler returns the page, for any path that ends in a slash, as in
//
//	mux.Handle("/gracex/", page.Handler(page.Config{Source: client}))
//
// It looks at the last part of a path alone, so http.StripPrefix is not needed and does no harm.
func Handler(config Config) http.Handler {
	h := &handler{Config: config, forgery: http.NewCrossOriginProtection()}
	h.samples.init(config.Source)
	h.requests = map[string]http.HandlerFunc{
		"GET state":  h.state,
		"GET events": h.events,

		"POST upgrade":  h.action(h.upgrade),
		"POST rollback": h.action(h.rollback),
		"POST promote":  h.action(h.promote),
		"POST stop":     h.action(h.stop),
	}
	return h
}

// ServeHTTP answers a request of the page.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setHeaders(w.Header())
	name := path.Base(r.URL.Path)
	if r.URL.Path == "" || r.URL.Path[len(r.URL.Path)-1] == '/' {
		name = "page.html"
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if f, ok := h.requests[method+" "+name]; ok {
		w.Header().Set("Cache-Control", "no-store")
		f(w, r)
		return
	}
	asset, ok := assets[name]
	switch {
	case ok && method == http.MethodGet:
		asset.serve(w, r)
	case ok || h.requests["GET "+name] != nil:
		refuse(w, http.StatusMethodNotAllowed, "it is only to be read, by GET")
	case h.requests["POST "+name] != nil:
		refuse(w, http.StatusMethodNotAllowed, "it changes the app, and needs POST")
	default:
		refuse(w, http.StatusNotFound, "the page has no "+name)
	}
}

// setHeaders keeps the page to itself. Nothing is loaded from elsewhere, no other page can hold this one in a frame, and
// no text of the app can become a script.
func setHeaders(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "+
		"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}

// reply answers in JSON.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a client that may be gone
}

// refusal is the answer to a request that had no success.
type refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, status int, why string) { reply(w, status, refusal{why}) }

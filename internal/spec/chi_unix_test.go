//go:build unix

package spec_test

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/gracex-go/gracex/chix"
)

var chiFramework = framework{
	name: "chi",
	methods: plainServe{
		chix.ListenAndServe, chix.ListenAndServeTLS, chix.ListenAndServeUnix,
		chix.Serve, chix.ServeTLS, chix.ServeListener,
	}.methods(chiApp),
}

func chiApp(p *process) http.Handler {
	r := chi.NewRouter()
	r.Use(chix.Readiness(chix.ReadinessConfig{Skipper: skips, Checks: p.checks}),
		func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				identify(w.Header(), r)
				next.ServeHTTP(w, r)
			})
		},
		middleware.RequestLogger(panicLog{p.log}), middleware.Recoverer)
	p.routes(chi.URLParam, r.MethodFunc)
	r.Route("/admin", func(r chi.Router) {
		r.Use(middleware.BasicAuth("spec", map[string]string{admin: password}))
		r.Get("/", greetAdmin)
	})
	r.Handle("/static/*", http.StripPrefix("/static", http.FileServer(http.Dir(p.static()))))
	p.built(r)
	return r
}

// panicLog keeps Recoverer from writing to standard error; it logs nothing else.
type panicLog struct{ log *slog.Logger }

func (l panicLog) NewLogEntry(*http.Request) middleware.LogEntry { return l }

func (panicLog) Write(int, int, http.Header, time.Duration, any) {}

func (l panicLog) Panic(v any, _ []byte) { l.log.Info("recovered", "panic", v) }

//go:build unix

package spec_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
)

var nethttpFramework = framework{
	name: "nethttp",
	methods: plainServe{
		core.ListenAndServe, core.ListenAndServeTLS, runUnix,
		core.Serve, runTLS, core.ServeListener,
	}.methods(nethttpApp),
}

// runUnix and runTLS are what a program writes with Run that core has no function for.

func runUnix(path string, h http.Handler, opts ...core.Option) error {
	return core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "unix", path)
		if err != nil {
			return err
		}
		return u.Attach(&http.Server{Handler: h}, ln)
	}, opts...)
}

func runTLS(srv *http.Server, cert, key string, opts ...core.Option) error {
	return core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", srv.Addr)
		if err != nil {
			return err
		}
		return u.AttachTLS(srv, ln, cert, key)
	}, opts...)
}

// nethttpApp is the app in net/http alone, whose middleware is handlers in handlers.
func nethttpApp(p *process) http.Handler {
	mux := http.NewServeMux()
	p.routes((*http.Request).PathValue, func(method, path string, h http.HandlerFunc) {
		if path == "/" {
			path = "/{$}"
		}
		mux.HandleFunc(method+" "+path, h)
	})
	group := http.NewServeMux()
	group.HandleFunc("GET /{$}", greetAdmin)
	mux.Handle("/admin/", http.StripPrefix("/admin", guard(group)))
	mux.Handle("GET /static/", http.StripPrefix("/static", http.FileServer(http.Dir(p.static()))))

	ready := core.Readiness(health.Config{Skipper: skips, Checks: p.checks})
	app := ready(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identify(w.Header(), r)
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		mux.ServeHTTP(w, r)
	}))
	p.built(app)
	return app
}

// routes gives to handle what is a handler of net/http's.
func (p *process) routes(
	param func(r *http.Request, name string) string, handle func(method, path string, h http.HandlerFunc),
) {
	// fails answers with an error.
	fails := func(w http.ResponseWriter, err error) bool {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		return err != nil
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); !fails(w, err) {
			_, _ = w.Write(body)
		}
	}
	handle("GET", "/", echo)
	handle("POST", "/", echo)
	handle("POST", "/held", func(w http.ResponseWriter, r *http.Request) {
		p.hold(r.Context())
		echo(w, r)
	})
	handle("GET", "/users/{id}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, found{param(r, "id")})
	})
	handle("POST", "/users", func(w http.ResponseWriter, r *http.Request) {
		if u, err := decodeUser(r.Body); !fails(w, err) {
			writeJSON(w, http.StatusCreated, u)
		}
	})
	handle("GET", "/panic", func(http.ResponseWriter, *http.Request) { panic("as asked") })
	handle("POST", "/upload", func(w http.ResponseWriter, r *http.Request) {
		_, header, err := r.FormFile("file")
		if fails(w, err) {
			return
		}
		if got, err := receive(header); !fails(w, err) {
			_, _ = w.Write(got)
		}
	})
	handle("GET", "/stream", func(w http.ResponseWriter, r *http.Request) { _ = stream(r, w) })
	handle("POST", "/shutdown", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(p.shutDown(r.URL.Query().Get("how")))
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func greetAdmin(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, admin) }

// guard is basic authentication by hand.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, pass, ok := r.BasicAuth(); !ok || name != admin || pass != password {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

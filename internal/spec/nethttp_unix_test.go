//go:build unix

package spec_test

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/gracex-go/gracex/core"
)

var nethttpFramework = framework{
	name: "nethttp",
	methods: plainServe{
		core.ListenAndServe, core.ListenAndServeTLS, core.ListenAndServeUnix,
		core.Serve, core.ServeTLS, core.ServeListener,
	}.methods(nethttpApp),
}

// nethttpApp is the app in net/http alone, whose middleware is handlers in handlers.
func nethttpApp(p *process) http.Handler {
	mux := http.NewServeMux()
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(body)
	}
	mux.HandleFunc("GET /{$}", echo)
	mux.HandleFunc("POST /{$}", echo)
	mux.HandleFunc("POST /held", func(w http.ResponseWriter, r *http.Request) {
		p.hold(r.Context())
		echo(w, r)
	})
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, found{r.PathValue("id")})
	})
	mux.HandleFunc("POST /users", createUser)
	group := http.NewServeMux()
	group.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, admin) })
	mux.Handle("/admin/", http.StripPrefix("/admin", guard(group)))
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("as asked") })
	mux.HandleFunc("POST /upload", acceptUpload)
	mux.HandleFunc("GET /stream", streamTo)
	mux.Handle("GET /static/", http.StripPrefix("/static", http.FileServer(http.Dir(p.static()))))
	mux.HandleFunc("POST /shutdown", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(p.shutDown(r.URL.Query().Get("how")))
	})

	ready := core.Readiness(core.ReadinessConfig{Skipper: skips, Checks: p.checks})
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

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func createUser(w http.ResponseWriter, r *http.Request) {
	var u user
	err := json.NewDecoder(r.Body).Decode(&u)
	if err == nil {
		err = u.valid()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusCreated, u)
}

func acceptUpload(w http.ResponseWriter, r *http.Request) {
	_, header, err := r.FormFile("file")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got, err := receive(header)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, http.StatusOK, got)
}

func streamTo(w http.ResponseWriter, r *http.Request) {
	_ = stream(r, sendTo(w)) // the client misses the rest
}

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

package core

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What needs a server that serves is tested with each framework in internal/spec.
func TestReadinessLeavesTheRest(t *testing.T) {
	t.Parallel()
	h := Readiness(ReadinessConfig{
		Skipper:   func(r *http.Request) bool { return r.Header.Get("X-Skip") != "" },
		LivePath:  "alive",
		ReadyPath: "/health/ready",
	})(http.NotFoundHandler())
	for _, tt := range []struct {
		method, path, skip string
		ours               bool
	}{
		{"GET", "/alive", "", true},
		{"HEAD", "/alive", "", true},
		{"GET", "/health/ready", "", true},
		{"GET", "/alive", "yes", false},
		{"POST", "/alive", "", false},
		{"GET", "/livez", "", false},
		{"GET", "/alive/", "", false},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Header.Set("X-Skip", tt.skip)
		h.ServeHTTP(w, r)
		if ours := w.Code != http.StatusNotFound; ours != tt.ours {
			t.Errorf("%s %s, X-Skip %q: %d", tt.method, tt.path, tt.skip, w.Code)
		}
	}
}

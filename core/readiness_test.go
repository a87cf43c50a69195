package core

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
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

// A stop does not wait for the checks: the answer is of the state after them.
func TestReadinessAfterTheChecks(t *testing.T) {
	t.Parallel()
	u := newTest(t, WithPreStopDelay(time.Hour))
	stops := Check{Name: "slow", Timeout: patience, Run: func(ctx context.Context) error {
		u.requestStop(stopRequest{})
		for u.State().Serving() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return nil
	}}
	h := Readiness(ReadinessConfig{Checks: []Check{stops}})(http.NotFoundHandler())
	u.serveTest(t, &http.Server{Handler: h})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, DefaultReadyPath, nil))
	if got := w.Body.String(); w.Code != http.StatusServiceUnavailable || got != `{"state":"stopping"}` {
		t.Errorf("%d %s", w.Code, got)
	}
}

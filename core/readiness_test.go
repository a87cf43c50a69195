package core_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// What needs a server that serves is tested with each framework in internal/spec.
func TestReadinessLeavesTheRest(t *testing.T) {
	t.Parallel()
	h := core.Readiness(core.ReadinessConfig{
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
	u := core.NewTest(t, core.WithPreStopDelay(time.Hour))
	stops := core.Check{Name: "slow", Timeout: patience, Run: func(ctx context.Context) error {
		go func() { _ = u.Stop(context.Background()) }()
		for u.State().Serving() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return nil
	}}
	h := core.Readiness(core.ReadinessConfig{Checks: []core.Check{stops}})(http.NotFoundHandler())
	u.ServeTest(t, &http.Server{Handler: h})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, core.DefaultReadyPath, nil))
	if got := w.Body.String(); w.Code != http.StatusServiceUnavailable || got != `{"state":"stopping"}` {
		t.Errorf("%d %s", w.Code, got)
	}
}

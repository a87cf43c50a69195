package core_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
)

// TestReadiness_AnswersItsPathsAlone needs no server that serves. internal/spec has one with each framework.
func TestReadiness_AnswersItsPathsAlone(t *testing.T) {
	t.Parallel()
	h := core.Readiness(health.Config{
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

// TestReadiness_AnswersTheStateAfterTheChecks has a stop that does not wait for them.
func TestReadiness_AnswersTheStateAfterTheChecks(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t, core.WithPreStopDelay(time.Hour))
	stops := health.Check{Name: "slow", Timeout: patience, Run: func(ctx context.Context) error {
		go func() { _ = u.Stop(context.Background()) }()
		for u.State().Serving() && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return nil
	}}
	h := core.Readiness(health.Config{Checks: []health.Check{stops}})(http.NotFoundHandler())
	u.ServeTest(t, &http.Server{Handler: h})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, health.DefaultReadyPath, nil))
	if got := w.Body.String(); w.Code != http.StatusServiceUnavailable || got != `{"state":"stopping"}` {
		t.Errorf("%d %s", w.Code, got)
	}
}

package ginx_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/ginx"
	"github.com/gracex-go/gracex/internal/must"
)

// guarded is an app as they are: Readiness first, then a guard, then routes, one of which takes everything.
func guarded(config ...ginx.ReadinessConfig) *gin.Engine {
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.Use(ginx.Readiness(config...), func(c *gin.Context) { c.AbortWithStatus(http.StatusUnauthorized) })
	r.GET("/:page", func(c *gin.Context) { c.String(http.StatusOK, "page") })
	return r
}

// Nothing runs: no Upgrader was made, or another test's has ended.
func TestReadinessWhileNothingRuns(t *testing.T) {
	t.Parallel()
	r := guarded()
	bare := gin.New()
	bare.Use(ginx.Readiness()) // and no route at all
	moved := guarded(ginx.ReadinessConfig{LivePath: "/health/live", ReadyPath: "ready"})
	half := guarded(ginx.ReadinessConfig{ReadyPath: "/up"}) // the other path stays where it was
	for _, tt := range []struct {
		r            *gin.Engine
		method, path string
		status       int
		ours         bool // whether the middleware answers
	}{
		{r, "GET", "/livez", 200, true},
		{r, "GET", "/readyz", 503, true},
		{bare, "GET", "/livez", 200, true},
		{bare, "GET", "/readyz", 503, true},
		{r, "HEAD", "/livez", 200, true},
		{r, "HEAD", "/readyz", 503, true},
		{r, "GET", "/livez?verbose", 200, true},
		{r, "POST", "/livez", 401, false},
		{r, "GET", "/other", 401, false},
		{r, "GET", "/livez/x", 401, false},
		{bare, "GET", "/other", 404, false},
		{moved, "GET", "/health/live", 200, true},
		{moved, "GET", "/ready", 503, true},
		{moved, "GET", "/livez", 401, false},
		{half, "GET", "/livez", 200, true},
		{half, "GET", "/up", 503, true},
		{half, "GET", "/readyz", 401, false},
	} {
		status, state := ask(tt.r, tt.method, tt.path)
		want := ""
		if tt.ours {
			want = core.CurrentState().String()
		}
		if status != tt.status || state != want {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, status, state, tt.status, want)
		}
	}
}

// Over a connection: HEAD has the header of GET and no body, and nothing caches.
func TestReadinessHeader(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(guarded())
	defer srv.Close()
	var header [2]string
	for i, method := range []string{"GET", "HEAD"} {
		conn := must.Get(net.Dial("tcp", srv.Listener.Addr().String()))(t)
		defer conn.Close()
		must.Get(io.WriteString(conn, method+" /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))(t)
		answer := must.Get(io.ReadAll(conn))(t)
		lines, body, _ := strings.Cut(string(answer), "\r\n\r\n")
		for line := range strings.Lines(lines) {
			// Allow is Gin's, because no route takes HEAD.
			if !strings.HasPrefix(line, "Date:") && !strings.HasPrefix(line, "Allow:") {
				header[i] += line
			}
		}
		if method == "HEAD" && body != "" || method == "GET" && !strings.HasPrefix(body, `{"state":`) {
			t.Errorf("%s has the body %q", method, body)
		}
	}
	if header[0] != header[1] {
		t.Errorf("GET has the header\n%s\nand HEAD\n%s", header[0], header[1])
	}
	for _, want := range []string{"Cache-Control: no-store", "Content-Type: application/json"} {
		if !strings.Contains(header[0], want) {
			t.Errorf("no %q in\n%s", want, header[0])
		}
	}
}

// Not parallel: the process has one Upgrader at a time.
func TestReadinessFollowsTheState(t *testing.T) {
	r := guarded()
	check := func(when string, status int, state string) {
		t.Helper()
		if got, gotState := ask(r, "GET", "/readyz"); got != status || gotState != state {
			t.Errorf("%s: /readyz %d %q, want %d %q", when, got, gotState, status, state)
		}
		if got, gotState := ask(r, "GET", "/livez"); got != 200 || gotState != state {
			t.Errorf("%s: /livez %d %q, want 200 %q", when, got, gotState, state)
		}
	}
	u := must.Get(core.New(core.WithSignals(core.Signals{})))(t)
	defer u.Stop(t.Context())
	check("before Ready", 503, "starting")
	must.Do(t, u.Ready())
	check("after Ready", 200, "current")
	must.Do(t, u.Stop(t.Context()))
	check("after Stop", 503, "stopped")
}

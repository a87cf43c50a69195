package page

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/page/internal/played"
)

func always(*http.Request) bool { return true }

// ask sends a request as the page does. Changes make it another one.
func ask(h http.Handler, method, target, body string, changes ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "http://127.0.0.1:8080")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, change := range changes {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func with(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func without(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

// What another page can make a browser send does nothing.
func TestActions_Forged(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 1)
	h := Handler(Config{Source: app, Actions: always})
	for _, action := range []string{"/upgrade", "/rollback", "/promote", "/stop"} {
		for name, c := range map[string]struct {
			method  string
			status  int
			changes []func(*http.Request)
		}{
			"a link":                     {"GET", http.StatusMethodNotAllowed, nil},
			"another method":             {"PUT", http.StatusMethodNotAllowed, nil},
			"another site's page":        {"POST", http.StatusForbidden, []func(*http.Request){with("Origin", "https://evil.example"), with("Sec-Fetch-Site", "cross-site")}},
			"a page on another port":     {"POST", http.StatusForbidden, []func(*http.Request){with("Origin", "http://127.0.0.1:9999"), with("Sec-Fetch-Site", "same-site")}},
			"an old browser elsewhere":   {"POST", http.StatusForbidden, []func(*http.Request){with("Origin", "http://127.0.0.1:9999"), without("Sec-Fetch-Site")}},
			"a page without an origin":   {"POST", http.StatusForbidden, []func(*http.Request){with("Origin", "null"), without("Sec-Fetch-Site")}},
			"a form":                     {"POST", http.StatusUnsupportedMediaType, []func(*http.Request){with("Content-Type", "text/plain")}},
			"a form with JSON in it":     {"POST", http.StatusUnsupportedMediaType, []func(*http.Request){with("Content-Type", "text/plain; application/json")}},
			"a request without a type":   {"POST", http.StatusUnsupportedMediaType, []func(*http.Request){without("Content-Type")}},
			"a request that is not JSON": {"POST", http.StatusBadRequest, nil},
		} {
			body := "{}"
			if c.status == http.StatusBadRequest {
				body = "reason=x"
			}
			if w := ask(h, c.method, action, body, c.changes...); w.Code != c.status {
				t.Errorf("%s by %s has status %d, not %d: %s", action, name, w.Code, c.status, w.Body)
			}
		}
	}
	if got := app.Asked(); len(got) > 0 {
		t.Errorf("the app was asked: %q", got)
	}
}

// A page changes nothing unless the program says so, for each request.
func TestActions_Allowed(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 1)
	some := func(r *http.Request) bool { return r.Header.Get("X-User") == "operator" }
	for name, c := range map[string]struct {
		config Config
		user   string
		status int
	}{
		"no actions":       {Config{Source: app}, "operator", http.StatusForbidden},
		"another user":     {Config{Source: app, Actions: some}, "reader", http.StatusForbidden},
		"an operator":      {Config{Source: app, Actions: some}, "operator", http.StatusOK},
		"an operator, too": {Config{Source: app, Actions: always}, "", http.StatusOK},
	} {
		h, before := Handler(c.config), len(app.Asked())
		app.Plan(played.Next{Version: "v2"})
		if w := ask(h, "POST", "/upgrade", "{}", with("X-User", c.user)); w.Code != c.status {
			t.Errorf("%s: status %d, %s", name, w.Code, w.Body)
		}
		if asked := len(app.Asked()) > before; asked != (c.status == http.StatusOK) {
			t.Errorf("%s: the app was asked: %v", name, asked)
		}
		allowed := `"actions":false`
		if c.status == http.StatusOK {
			allowed = `"actions":true`
		}
		if w := ask(h, "GET", "/state", "", with("X-User", c.user)); !strings.Contains(w.Body.String(), allowed) {
			t.Errorf("%s: the page is not told %s: %s", name, allowed, w.Body)
		}
	}
}

func TestActions_ReachTheApp(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 1)
	h := Handler(Config{Source: app, Actions: always})
	app.Plan(played.Next{Version: "v2", Fails: &control.Outcome{Kind: control.KindFailed, Reason: "no <b>port</b>", Stderr: []string{"listen: in use"}}})
	w := ask(h, "POST", "/x/upgrade", "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"kind":"failed"`) || !strings.Contains(w.Body.String(), "listen: in use") {
		t.Errorf("upgrade: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/promote", "{}"); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "no upgrade is on probation") {
		t.Errorf("promote: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/rollback", `{"reason":"error rate 4 %"}`); w.Code != http.StatusConflict {
		t.Errorf("rollback: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/stop", "{}"); w.Code != http.StatusOK {
		t.Errorf("stop: %d %s", w.Code, w.Body)
	}
	if got, want := app.Asked(), []string{"upgrade", "promote", "rollback error rate 4 %", "stop"}; !slices.Equal(got, want) {
		t.Errorf("the app was asked %q, not %q", got, want)
	}
	if w := ask(h, "POST", "/rollback", `{"reason":"`+strings.Repeat("x", maxOrder)+`"}`); w.Code != http.StatusBadRequest {
		t.Errorf("a long reason has status %d", w.Code)
	}
}

// A page that rolls back says to the app why.
func TestActions_Probation(t *testing.T) {
	t.Parallel()
	for action, kind := range map[string]string{"promote": control.KindUpgraded, "rollback": control.KindRolledBack} {
		app := played.New("v1", 10)
		h := Handler(Config{Source: app, Actions: always})
		app.Plan(played.Next{Version: "v2", Probation: time.Hour})
		done := make(chan string)
		go func() { done <- ask(h, "POST", "/upgrade", "{}").Body.String() }()
		for ask(h, "POST", "/"+action, `{"reason":"too slow"}`).Code != http.StatusOK {
			time.Sleep(time.Millisecond) // until there is a probation
		}
		if got := <-done; !strings.Contains(got, fmt.Sprintf("%q:%q", "kind", kind)) || strings.Contains(got, "too slow") != (action == "rollback") {
			t.Errorf("%s: %s", action, got)
		}
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		control.ErrRefused: 409, control.ErrPermission: 403, control.ErrVersion: 501, control.ErrStale: 503, control.ErrNotFound: 503,
		control.ErrForeign: 502, errors.New("any"): 502,
	} {
		if got := statusOf(fmt.Errorf("app.sock: %w", err)); got != want {
			t.Errorf("%v has status %d, not %d", err, got, want)
		}
	}
}

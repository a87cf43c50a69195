package page

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/page/internal/played"
)

func TestLocal_Token(t *testing.T) {
	t.Parallel()
	app := played.New("v1", 1)
	h, token := Local(Config{Source: app, Actions: always})
	if _, other := Local(Config{Source: app}); len(token) < 22 || token == other {
		t.Fatalf("tokens %q and %q", token, other)
	}
	for _, wrong := range []string{"", "Bearer ", "Bearer x", token, "Basic " + token, "Bearer " + token + "x", "bearer " + token} {
		for target, method := range map[string]string{
			"/state": "GET", "/events": "GET", "/x/state": "GET", "/state?token=" + token: "GET", "/upgrade": "POST", "/stop": "POST", "/nothing": "GET",
		} {
			if w := ask(h, method, target, "{}", with("Authorization", wrong)); w.Code != http.StatusUnauthorized {
				t.Errorf("%s %s with %q: status %d", method, target, wrong, w.Code)
			}
		}
	}
	if got := app.Asked(); len(got) > 0 {
		t.Errorf("the app was asked: %q", got)
	}
	for _, public := range []string{"/", "/page.js", "/page.css"} {
		if w := ask(h, "GET", public, ""); w.Code != http.StatusOK || strings.Contains(w.Body.String(), token) {
			t.Errorf("%s: status %d, or it tells the token", public, w.Code)
		}
	}
	if w := ask(h, "GET", "/state", "", with("Authorization", "Bearer "+token)); w.Code != http.StatusOK {
		t.Errorf("with the token: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "POST", "/stop", "{}", with("Authorization", "Bearer "+token)); w.Code != http.StatusOK {
		t.Errorf("a stop with the token: %d %s", w.Code, w.Body)
	}
	evil := with("Sec-Fetch-Site", "cross-site")
	if w := ask(h, "POST", "/stop", "{}", with("Authorization", "Bearer "+token), evil); w.Code != http.StatusForbidden {
		t.Errorf("a stop with the token by another site: %d %s", w.Code, w.Body)
	}
}

// A name that an attacker's DNS gives to this machine is not answered, whatever else the request has.
func TestLocal_Host(t *testing.T) {
	t.Parallel()
	h, token := Local(Config{Source: played.New("v1", 1), Actions: always})
	for host, want := range map[string]int{
		"127.0.0.1:8080": 200, "127.0.0.1": 200, "127.8.9.1:80": 200, "localhost:1": 200, "LOCALHOST": 200, "[::1]:8080": 200, "[::1]": 200,
		"evil.example": 421, "evil.example:8080": 421, "localhost.evil.example:8080": 421, "127.0.0.1.evil.example": 421, "192.0.2.1:8080": 421,
		"0.0.0.0:8080": 421, "": 421, "[::ffff:192.0.2.1]:80": 421, "169.254.169.254": 421,
	} {
		for _, target := range []string{"/", "/page.js", "/state"} {
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+target, nil)
			r.Host = host
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != want {
				t.Errorf("%s at %q: status %d, not %d", target, host, w.Code, want)
			}
		}
	}
}

func TestListenLocal(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"", "127.0.0.1:0", "localhost:0"} {
		ln, err := ListenLocal(addr)
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		ln.Close()
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:80", "127.0.0.1", "8080", "*:0"} {
		if _, err := ListenLocal(addr); !errors.Is(err, ErrNotLoopback) || !strings.Contains(err.Error(), addr) {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

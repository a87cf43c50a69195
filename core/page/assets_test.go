package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/page/internal/played"
	"github.com/gracex-go/gracex/internal/must"
)

// written are the files of the page that we have written.
func written(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	must.Do(t, fs.WalkDir(files, "assets", func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && file == "assets/uplot" {
			return fs.SkipDir
		}
		if err == nil && !d.IsDir() {
			all[path.Base(file)] = string(must.Get(files.ReadFile(file))(t))
		}
		return err
	}))
	return all
}

// Whatever the page refers to is embedded, and a browser gets it with its type.
func TestAssets_Complete(t *testing.T) {
	t.Parallel()
	refers := regexp.MustCompile(`(?:src|href|from) ?=? ?"([^"#]+)"`)
	found := map[string]bool{"page.html": true}
	for name, text := range written(t) {
		for _, match := range refers.FindAllStringSubmatch(text, -1) {
			to := strings.TrimPrefix(match[1], "./")
			if found[to] = true; assets[to].content == nil {
				t.Errorf("%s refers to %q, which is not there", name, match[1])
			}
		}
	}
	h := Handler(Config{Source: played.New("v1", 1)})
	for name, a := range assets {
		if !found[name] {
			t.Errorf("nothing refers to %s", name)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/any/where/"+name, nil))
		if w.Code != http.StatusOK || w.Body.String() != string(a.content) || w.Header().Get("Content-Type") != a.kind {
			t.Errorf("%s: status %d, %q", name, w.Code, w.Header())
		}
		again := httptest.NewRequest(http.MethodGet, "/"+name, nil)
		again.Header.Set("If-None-Match", w.Header().Get("Etag"))
		w = httptest.NewRecorder()
		if h.ServeHTTP(w, again); w.Code != http.StatusNotModified {
			t.Errorf("%s has not changed, and has status %d", name, w.Code)
		}
	}
}

// Nothing is asked for elsewhere, and no text becomes HTML or a script. The browser's policy forbids it, too.
func TestAssets_KeepToThemselves(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(`(?i)(?:https?:|wss?:)?//[a-z][^\s"'` + "`" + `)]*`)
	for name, a := range assets {
		for _, found := range address.FindAllString(string(a.content), -1) {
			if found != "http://www.w3.org/2000/svg" && found != "https://github.com/leeoniya/uPlot" { // a name, and a comment
				t.Errorf("%s names %s", name, found)
			}
		}
	}
	html := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\(|new Function|javascript:| on[a-z]+=|style="`)
	for name, a := range assets {
		if found := html.FindString(string(a.content)); found != "" {
			t.Errorf("%s has %s", name, found)
		}
	}
}

// The chart library comes with its licence and its version.
func TestAssets_Licence(t *testing.T) {
	t.Parallel()
	licence := string(must.Get(files.ReadFile("assets/uplot/LICENSE"))(t))
	if !strings.Contains(licence, "The MIT License") || !strings.Contains(licence, "Leon Sorokin") {
		t.Errorf("the licence is\n%s", licence)
	}
	script := string(assets["uPlot.iife.min.js"].content)
	if !strings.HasPrefix(script, "/*! https://github.com/leeoniya/uPlot (v1.6.32) */") {
		t.Errorf("the script begins with %.80q", script)
	}
}

func TestHandler_Headers(t *testing.T) {
	t.Parallel()
	h := Handler(Config{Source: played.New("v1", 1)})
	for _, path := range []string{"/", "/gracex/", "/page.js", "/state", "/nothing", "/upgrade"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		policy := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy has no %s: %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, w.Header())
		}
	}
}

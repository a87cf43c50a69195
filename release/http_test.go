package release_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
)

// site is a web server's folder, with ETags of the content.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	modified time.Time
	cut      int              // each body ends after so many bytes, if it is not 0
	log      []*http.Request  // what came
	first    http.HandlerFunc // answers instead, if it is not nil
}

func newSite(t *testing.T) *site {
	s := &site{modified: time.Now().Add(-time.Hour)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) Publish(_ *testing.T, files map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = files
}

func (s *site) Source() release.Source { return release.HTTP(s.URL + "/shop/stable") }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, r)
	if s.first != nil {
		s.first(w, r)
		return
	}
	b, ok := s.files[strings.TrimPrefix(r.URL.Path, "/shop/stable/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
	if s.cut > 0 {
		w = &cutting{w, s.cut}
	}
	http.ServeContent(w, r, "file", s.modified, bytes.NewReader(b))
}

// requests returns what came since the last call.
func (s *site) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// cutting ends the connection after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(b []byte) (int, error) {
	if len(b) > c.left {
		_, _ = c.ResponseWriter.Write(b[:c.left])
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	sourcetest.Check(t, newSite(t))
}

func TestHTTP_SavesRequests(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Publish(t, map[string][]byte{"release.json": []byte("{}"), "release.json.minisig": []byte("x")})
	src := s.Source()
	offer := must.Get(src.Head(t.Context(), ""))(t)
	s.requests()
	for range 2 {
		_, err := src.Head(t.Context(), offer.Tag)
		if log := s.requests(); !errors.Is(err, release.ErrUnchanged) || len(log) != 1 || log[0].Header.Get("If-None-Match") == "" {
			t.Errorf("%v after %d requests", err, len(log))
		}
	}
	// Without the tag all is read anew, past the caches.
	must.Get(src.Head(t.Context(), ""))(t)
	for _, r := range s.requests() {
		if r.Header.Get("If-None-Match") != "" || r.Header.Get("Cache-Control") != "no-cache" {
			t.Error(r.Header)
		}
	}
	// A file that is younger than its ETag can tell is asked for whole.
	s.mu.Lock()
	s.modified = time.Now()
	s.mu.Unlock()
	offer = must.Get(src.Head(t.Context(), ""))(t)
	s.requests()
	_, err := src.Head(t.Context(), offer.Tag)
	if log := s.requests(); !errors.Is(err, release.ErrUnchanged) || len(log) != 2 || log[0].Header.Get("If-None-Match") != "" {
		t.Errorf("%v after %d requests", err, len(log))
	}
}

// TestHTTP_BelievesAnETagForAnHour: then a manifest is found whose ETag is that of the one before.
func TestHTTP_BelievesAnETagForAnHour(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		body := "1"
		src := release.HTTP("http://origin.example", release.Client(&http.Client{Transport: answers(func(r *http.Request) *http.Response {
			if r.Header.Get("If-None-Match") == `"same"` {
				return answer(http.StatusNotModified, "")
			}
			return answer(http.StatusOK, body, "ETag", `"same"`)
		})}))
		first := must.Get(src.Head(t.Context(), ""))(t)
		body = "2"
		time.Sleep(59 * time.Minute)
		if _, err := src.Head(t.Context(), first.Tag); !errors.Is(err, release.ErrUnchanged) {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		if o := must.Get(src.Head(t.Context(), first.Tag))(t); string(o.Manifest) != "2" {
			t.Errorf("%s", o.Manifest)
		}
	})
}

// answers is a transport without a network.
type answers func(*http.Request) *http.Response

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := a(r)
	resp.Request = r
	return resp, nil
}

func answer(code int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Status: fmt.Sprint(code, " ", http.StatusText(code)), Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// TestHTTP_TheWholeManifestHasItsTime: an origin that gives a little of it each time does not hold a follower for ever.
func TestHTTP_TheWholeManifestHasItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := release.HTTP("http://origin.example", release.Client(&http.Client{Transport: answers(func(r *http.Request) *http.Response {
			resp := answer(http.StatusOK, "")
			resp.Body = slow{r.Context()}
			return resp
		})}))
		begin := time.Now()
		_, err := src.Head(t.Context(), "")
		sourcetest.NotTried(t, err)
		if took := time.Since(begin); took != time.Minute || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// slow gives 500 bytes each 5 s, until ctx ends.
type slow struct{ ctx context.Context }

func (s slow) Read(p []byte) (int, error) {
	select {
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	case <-time.After(5 * time.Second):
		return copy(p, make([]byte, 500)), nil
	}
}

func (slow) Close() error { return nil }

// TestHTTP_EndsATransferThatStandsStill: a client of the program's own has no limit.
func TestHTTP_EndsATransferThatStandsStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := release.HTTP("http://origin.example", release.Client(&http.Client{Transport: answers(func(r *http.Request) *http.Response {
			resp := answer(http.StatusOK, "")
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 5000)), still{r.Context()}))
			return resp
		})}))
		begin := time.Now()
		body, _, err := src.Open(t.Context(), "shop", 0)
		must.Do(t, err)
		defer body.Close()
		got, err := io.ReadAll(body)
		sourcetest.NotTried(t, err)
		if took := time.Since(begin); took != time.Minute || len(got) != 5000 || !strings.Contains(err.Error(), "the transfer stands still") {
			t.Errorf("%d bytes, %v after %v", len(got), err, took)
		}
	})
}

// still gives nothing until ctx ends.
type still struct{ ctx context.Context }

func (s still) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestHTTP_GoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cut = 4 << 20
	want := sourcetest.Bytes(22<<20, 1)
	s.Publish(t, map[string][]byte{"shop": want})
	got, opens, err := sourcetest.Fetch(t.Context(), s.Source(), "shop", len(want))
	if err != nil || !bytes.Equal(got, want) || opens != 6 {
		t.Errorf("%d of %d bytes, equal: %v, after %d requests: %v", len(got), len(want), bytes.Equal(got, want), opens, err)
	}
}

// TestHTTP_DoesNotGlueTwoFiles: the file is replaced while the first half of it is here.
func TestHTTP_DoesNotGlueTwoFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	src := s.Source()
	for seed := range byte(2) {
		s.Publish(t, map[string][]byte{"shop": sourcetest.Bytes(1000, seed)})
		at := int64(seed) * 500
		body, from, err := src.Open(t.Context(), "shop", at)
		if err != nil || from != 0 {
			t.Fatalf("from %d: %v", from, err)
		}
		got := must.Get(io.ReadAll(body))(t)
		body.Close()
		if !bytes.Equal(got, sourcetest.Bytes(1000, seed)) {
			t.Error("other bytes")
		}
	}
}

// TestHTTP_Says has what an origin can answer, and what a person reads then.
func TestHTTP_Says(t *testing.T) {
	t.Parallel()
	const html = "text/html; charset=utf-8"
	for _, c := range []struct {
		name   string
		answer *http.Response
		open   bool // of the program, from byte 10 on; else of the manifest
		wait   time.Duration
		want   string // in the message, or "" for none
	}{
		{"401", answer(401, ""), false, 0, "401 Unauthorized: it wants a token or a password: TokenFile"},
		{"403", answer(403, ""), false, 0, "403 Forbidden: it wants a token or a password (TokenFile), or there is no such file"},
		{"404", answer(404, ""), false, 0, "there is neither release.json nor SHA256SUMS"},
		{"404 of a program", answer(404, ""), true, 0, "shop: 404 Not Found: there is no such file"},
		{"407", answer(407, ""), false, 0, "the proxy of HTTP_PROXY or HTTPS_PROXY wants a password"},
		{"429", answer(429, "", "Retry-After", "30"), false, 30 * time.Second, "429 Too Many Requests; it wants to be asked again in 30s"},
		{"503 until then", answer(503, "", "Date", "Mon, 30 Nov 2026 12:00:00 GMT", "Retry-After", "Mon, 30 Nov 2026 12:02:00 GMT"), true, 2 * time.Minute, "503 Service Unavailable"},
		{"500", answer(500, "s3cret"), true, 0, "500 Internal Server Error"},
		{"no words of control", &http.Response{StatusCode: 500, Status: "500 \x1b[2J", Header: http.Header{}, Body: http.NoBody}, false, 0, `500 \x1b[2J`},
		{"a page", answer(200, "\ufeff \n<!DOCTYPE html>", "Content-Type", html), false, 0, "a page for a person came"},
		{"a page for a program", answer(200, "<html>", "Content-Type", html), true, 0, "a page for a person came"},
		{"a program that is called a page", answer(200, "\x7fELF", "Content-Type", html), true, 0, ""},
		{"compressed", answer(200, "\x1f\x8b", "Content-Encoding", "gzip"), false, 0, "encoded on the way, as gzip"},
		{"a compressed program", answer(200, "\x1f\x8b", "Content-Encoding", "gzip"), true, 0, "encoded on the way, as gzip"},
		{"identity", answer(200, "x", "Content-Encoding", "identity"), true, 0, ""},
		{"a part too late", answer(206, "x", "Content-Range", "bytes 11-19/20"), true, 0, `bytes from 10 on were asked for, and Content-Range "bytes 11-19/20" came`},
		{"a part of unknown place", answer(206, "x"), true, 0, `and Content-Range "" came`},
		{"several parts", answer(206, "x", "Content-Type", "multipart/byteranges; boundary=x"), true, 0, `and Content-Range "" came`},
		{"a part that was not asked for", answer(206, "x", "Content-Range", "bytes 0-19/20"), false, 0, "206 Partial Content"},
		{"a redirect to nowhere", answer(302, ""), false, 0, "302 Found"},
		{"always another range", answer(416, ""), true, 0, "416 Requested Range Not Satisfiable"},
		{"204", answer(204, ""), false, 0, "204 No Content"},
		{"unchanged, of a program", answer(304, ""), true, 0, "304 Not Modified"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := release.HTTP("https://origin.example/shop?sig=s3cret", release.Client(&http.Client{Transport: answers(func(*http.Request) *http.Response {
				return c.answer
			})}))
			var err error
			if c.open {
				var body io.ReadCloser
				if body, _, err = src.Open(t.Context(), "shop", 10); err == nil {
					body.Close()
				}
			} else {
				_, err = src.Head(t.Context(), "")
			}
			if c.want == "" {
				must.Do(t, err)
				return
			}
			sourcetest.NotTried(t, err)
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "https://origin.example/shop: ") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			var wait *release.WaitError
			if errors.As(err, &wait) != (c.wait > 0) || wait != nil && wait.Wait != c.wait {
				t.Errorf("waits %v, want %v", wait, c.wait)
			}
		})
	}
}

func TestHTTP_BadOptions(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	must.Do(t, os.WriteFile(empty, nil, 0o600))
	for _, c := range []struct {
		url, want string
		o         []release.HTTPOption
	}{
		{"ftp://user:s3cret@origin.example/", "ftp://origin.example/: not the address of a web server", nil},
		{"origin.example", "not the address of a web server", nil},
		{"http://", "not the address of a web server", nil},
		{"", "not the address of a web server", nil},
		{"http://user:s3cret@origin.example:port/", "an address that is not one: ", nil},
		{"http://user:s3 cret@origin.example/", "an address that is not one: ", nil},
		{"http://origin.example/\x1b", "an address that is not one: ", nil},
		{"https://origin.example", "empty.pem", []release.HTTPOption{release.CA(empty)}},
		{"https://origin.example", "no such file", []release.HTTPOption{release.CA(empty + "x")}},
		{"https://origin.example", "no such file", []release.HTTPOption{release.TokenFile(empty + "x")}},
		{"https://origin.example", "white space", []release.HTTPOption{release.Token(func(context.Context) (string, error) { return "s3cret\n", nil })}},
	} {
		src := release.HTTP(c.url, c.o...)
		_, err := src.Head(t.Context(), "")
		sourcetest.NotTried(t, err)
		if !strings.Contains(err.Error(), c.want) || strings.Contains(src.String(), "s3") {
			t.Errorf("%q: %v", c.url, err)
		}
		if _, _, err := src.Open(t.Context(), "shop", 0); err == nil {
			t.Errorf("%q: a file is opened", c.url)
		}
	}
}

func TestHTTP_Addresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, first, shown string }{
		{"https://o.example", "/release.json", "https://o.example"},
		{"https://o.example/a%2Fb/", "/a%2Fb/release.json", "https://o.example/a%2Fb/"},
		{"https://o.example/a?sig=s3cret", "/a/release.json?sig=s3cret", "https://o.example/a"},
		{"https://o.example/a/release.json?v=1", "/a/release.json?v=1", "https://o.example/a/"},
		{"https://o.example/SHA256SUMS", "/SHA256SUMS", "https://o.example/"},
		{"https://me:s3cret@o.example/a#b", "/a/release.json", "https://o.example/a"},
	} {
		var got []string
		src := release.HTTP(c.address, release.Client(&http.Client{Transport: answers(func(r *http.Request) *http.Response {
			got = append(got, r.URL.RequestURI())
			if e := r.Header.Get("Accept-Encoding"); e != "identity" {
				t.Errorf("it wants the encoding %q", e)
			}
			if name, pw, ok := r.BasicAuth(); ok != strings.Contains(c.address, "@") || ok && (name != "me" || pw != "s3cret") {
				t.Errorf("%s: %v", c.address, r.Header)
			}
			return answer(http.StatusNotFound, "")
		})}))
		_, err := src.Head(t.Context(), "")
		sourcetest.NotTried(t, err)
		if len(got) == 0 || got[0] != c.first || src.String() != c.shown {
			t.Errorf("%s: asked for %s, shown as %s", c.address, got, src)
		}
	}
}

// TestHTTP_WantsTheWholeFile: half of one, that nobody asked for, is not taken for the file.
func TestHTTP_WantsTheWholeFile(t *testing.T) {
	t.Parallel()
	src := release.HTTP("https://o.example", release.Client(&http.Client{Transport: answers(func(*http.Request) *http.Response {
		return answer(http.StatusPartialContent, "half", "Content-Range", "bytes 0-3/8")
	})}))
	_, _, err := src.Open(t.Context(), "shop", 0)
	sourcetest.NotTried(t, err)
}

func TestHTTP_EscapesNames(t *testing.T) {
	t.Parallel()
	var got string
	src := release.HTTP("https://o.example/a?sig=x", release.Client(&http.Client{Transport: answers(func(r *http.Request) *http.Response {
		got = r.URL.RequestURI()
		return answer(http.StatusOK, "")
	})}))
	body, _, err := src.Open(t.Context(), "a b%2F?c#d", 0)
	must.Do(t, err)
	body.Close()
	if got != "/a/a%20b%252F%3Fc%23d?sig=x" {
		t.Error(got)
	}
}

// TestHTTP_KeepsItsTokenAtHome: real servers, one of them at another port of the same host, and one at another host.
func TestHTTP_KeepsItsTokenAtHome(t *testing.T) {
	t.Parallel()
	want := []byte("{}")
	away := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "s3cret") || name == "Referer" {
				t.Errorf("%s sees %s: %s", r.Host, name, values)
			}
		}
		w.Write(want)
	}))
	defer away.Close()
	port := must.Get(url.Parse(away.URL))(t).Port()
	for _, c := range []struct{ host, user string }{{"127.0.0.1", ""}, {"localhost", ""}, {"127.0.0.1", "me:s3cret@"}} {
		s := newSite(t)
		seen := 0
		s.first = func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Authorization"), "s3cret") && r.Header.Get("Private-Token") == "s3cret" {
				seen++
			} else if _, pw, _ := r.BasicAuth(); pw == "s3cret" && r.Header.Get("Private-Token") == "s3cret" {
				seen++
			}
			http.Redirect(w, r, "http://"+c.host+":"+port+r.URL.Path, http.StatusFound)
		}
		options := []release.HTTPOption{release.Header("Private-Token", "s3cret")}
		if c.user == "" {
			options = append(options, release.Token(func(context.Context) (string, error) { return "s3cret", nil }))
		}
		src := release.HTTP(strings.Replace(s.URL, "//", "//"+c.user, 1)+"/?sig=s3cret", options...)
		o, err := src.Head(t.Context(), "")
		if err != nil || !bytes.Equal(o.Manifest, want) || seen != 2 {
			t.Errorf("by %s: %s, %v; the source has seen %d tokens", c.host, o.Manifest, err, seen)
		}
	}
}

func TestHTTP_OwnCA(t *testing.T) {
	t.Parallel()
	s := &site{files: map[string][]byte{"release.json": []byte("{}")}, modified: time.Now()}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	_, err := s.Source().Head(t.Context(), "")
	sourcetest.NotTried(t, err)
	if !strings.Contains(err.Error(), "SSL_CERT_FILE") {
		t.Error(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	must.Do(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	must.Get(release.HTTP(s.URL+"/shop/stable", release.CA(path)).Head(t.Context(), ""))(t)
	src := release.HTTP(s.URL, release.CA(path), release.Client(http.DefaultClient))
	if _, err := src.Head(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Error(err)
	}
}

func TestHTTP_TheClientsOwnRedirects(t *testing.T) {
	t.Parallel()
	asked := false
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { asked = true; return nil },
		Transport: answers(func(r *http.Request) *http.Response {
			if r.URL.Path == "/release.json" {
				return answer(302, "", "Location", "/else")
			}
			return answer(200, "{}")
		}),
	}
	before := client.Transport
	must.Get(release.HTTP("http://o.example", release.Client(client)).Head(t.Context(), ""))(t)
	if !asked || fmt.Sprintf("%p", client.Transport) != fmt.Sprintf("%p", before) {
		t.Error("the client was not asked, or is another one now")
	}
}

func TestTokenFile_IsReadEachTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "token")
	var got string
	src := release.HTTP("http://o.example", release.TokenFile(path), release.Client(&http.Client{Transport: answers(func(r *http.Request) *http.Response {
		got = r.Header.Get("Authorization")
		return answer(200, "{}")
	})}))
	for _, c := range []struct{ content, want string }{{" one\n", "Bearer one"}, {"two", "Bearer two"}, {"\n", ""}} {
		must.Do(t, os.WriteFile(path, []byte(c.content), 0o600))
		must.Get(src.Head(t.Context(), ""))(t)
		if got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

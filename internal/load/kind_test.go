package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// forEachKind runs a subtest for every kind. Its config has clients of both
// sorts and no address yet.
func forEachKind(t *testing.T, test func(t *testing.T, name string, cfg Config)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			cfg := kind.Config
			cfg.Clients, cfg.Fresh = 2, 1
			test(t, kind.Name, cfg)
		})
	}
}

func TestKindsAreAnswered(t *testing.T) {
	t.Parallel()
	addr := serve(t, echo)
	forEachKind(t, func(t *testing.T, name string, cfg Config) {
		var ended [3]atomic.Int64
		cfg.Addr, cfg.Observe = addr, func(s Sample) { ended[s.Client].Add(1) }
		r := runFor(t, cfg, 12)
		want := ended[2].Load() // the fresh one's
		for id := range cfg.Clients {
			want += min(ended[id].Load(), 1)
		}
		if r.Failed != 0 || r.Connects != int(want) || r.Reconnects != 0 {
			t.Errorf("want 0 failed over %d connections: %v", want, r)
		}
		if r.Served[Server{"7", "2"}] != r.Requests || r.Latency.Count() != r.Requests {
			t.Errorf("served %v, %d latencies: %v", r.Served, r.Latency.Count(), r)
		}
	})
}

func TestKindsAreAnsweredOverTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(echo)
	t.Cleanup(srv.Close)
	forEachKind(t, func(t *testing.T, name string, cfg Config) {
		cfg.Addr, cfg.TLS = srv.Listener.Addr().String(), srv.Client().Transport.(*http.Transport).TLSClientConfig
		if r := runFor(t, cfg, 6); r.Failed != 0 || r.Reconnects != 0 {
			t.Error(r)
		}
	})
}

// A kind is what net/http takes its requests for.
func TestKindsAreWhatTheyAreCalled(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"post":        "POST / 256 [] body 256",
		"get":         "GET / 0 [] tag, body 0",
		"head":        "HEAD / 0 [] tag, body 0",
		"304":         "GET /?status=304 0 [] tag, body 0",
		"chunked":     "POST / -1 [chunked] body 256",
		"trailers":    "POST / -1 [chunked] body 256, its tag behind it",
		"expect":      "POST / 256 [] 100-continue, body 256",
		"1MiB":        "POST / 1048576 [] body 1048576",
		"slow upload": "POST / 256 [] body 256",
	}
	forEachKind(t, func(t *testing.T, name string, cfg Config) {
		cfg.Addr = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.ContentLength, " ", r.TransferEncoding, " ")
			if expect := r.Header.Get("Expect"); expect != "" {
				got += expect + ", "
			}
			if r.Header.Get(tagField) != "" {
				got += "tag, "
			}
			body, err := io.ReadAll(r.Body)
			got += fmt.Sprint("body ", len(body))
			if tag := r.Trailer.Get(trailerField); tag != "" && strings.HasPrefix(string(body), tag) {
				got += ", its tag behind it"
			}
			if got != want[name] || err != nil {
				t.Errorf("server read %q, %v, want %q", got, err, want[name])
			}
			reply(w, r, r.Header.Get(tagField), body)
		}))
		if r := runFor(t, cfg, 6); r.Failed != 0 {
			t.Error(r)
		}
	})
}

// Whatever is asked, and however: each fault is seen, once for every request.
func TestKindsSeeFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer func() http.HandlerFunc
		want   []Reason
	}{
		"the answer to another request": {anothersAnswer, []Reason{WrongTag, WrongBody}},
		"empty": {func() http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				reply(w, r, "", nil)
			}
		}, []Reason{WrongTag, WrongBody}},
		"another status": {func() http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				r.URL.RawQuery = "status=503"
				echo(w, r)
			}
		}, []Reason{"status 503"}},
		"none": {func() http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				panic(http.ErrAbortHandler)
			}
		}, []Reason{NoAnswer}},
		"cut short":   {func() http.HandlerFunc { return raw(func(a string) string { return a[:len(a)-1] }) }, []Reason{Truncated, Malformed}},
		"given twice": {func() http.HandlerFunc { return raw(func(a string) string { return a + a }) }, []Reason{Surplus}},
		"longer":      {func() http.HandlerFunc { return raw(func(a string) string { return a + "!" }) }, []Reason{Surplus}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachKind(t, func(t *testing.T, name string, cfg Config) {
				var served atomic.Int64
				answer := tt.answer()
				cfg.Addr = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					served.Add(1)
					answer(w, r)
				}))
				cfg.BodyPause = min(cfg.BodyPause, time.Millisecond)
				r := runFor(t, cfg, 6)
				wantFailures(t, r, firstOf(r, tt.want))
				if int(served.Load()) != r.Requests {
					t.Errorf("server read %d requests, clients counted %d", served.Load(), r.Requests)
				}
			})
		})
	}
}

// firstOf is the reason, of those allowed, that occurred.
func firstOf(r Result, allowed []Reason) Reason {
	for _, reason := range allowed {
		if r.Reasons[reason] > 0 {
			return reason
		}
	}
	return allowed[0]
}

// anothersAnswer answers each request with what the one before it should have
// got.
func anothersAnswer() http.HandlerFunc {
	var mu sync.Mutex
	lastTag, lastBody := "", []byte(nil)
	return func(w http.ResponseWriter, r *http.Request) {
		tag := r.Header.Get(tagField)
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		tag, lastTag = lastTag, tag
		body, lastBody = lastBody, body
		mu.Unlock()
		reply(w, r, tag, body)
	}
}

// raw gives the right answer, spoilt on its way by the function, and closes the
// connection.
func raw(spoil func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		status := "200 OK"
		if strings.HasSuffix(r.RequestURI, "status=304") {
			status = "304 Not Modified"
		}
		if r.Method == http.MethodHead {
			body = nil
		}
		io.WriteString(c, spoil(fmt.Sprintf("HTTP/1.1 %s\r\nX-Tag: %s\r\nContent-Length: %d\r\n\r\n%s",
			status, r.Header.Get(tagField), len(body), body)))
	}
}

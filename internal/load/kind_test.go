package load

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Each kind, and what goes together of several, is what net/http takes its requests for, and is answered over a
// connection of each sort to clients of both sorts.
func TestKinds(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"post":                    "POST / 256 [] body 256",
		"get":                     "GET / 0 [] tag, body 0",
		"head":                    "HEAD / 0 [] tag, body 0",
		"304":                     "GET /?status=304 0 [] tag, body 0",
		"chunked":                 "POST / -1 [chunked] body 256",
		"trailers":                "POST / -1 [chunked] body 256, its tag behind it",
		"expect":                  "POST / 256 [] 100-continue, body 256",
		"1MiB":                    "POST / 1048576 [] body 1048576",
		"slow upload":             "POST / 256 [] body 256",
		"shortest":                "POST / 52 [] body 52",
		"get with a body":         "GET /x?d=0s 10000 [] body 10000",
		"all about the body":      "POST / -1 [chunked] 100-continue, body 100000, its tag behind it",
		"304 to a post":           "POST /?status=304 256 [] tag, body 256",
		"204 to an awaited chunk": "POST /?status=204 -1 [chunked] 100-continue, tag, body 256",
		"404 to a get":            "GET /?status=404 0 [] tag, body 0",
		"head with a body":        "HEAD / 256 [] tag, body 256",
		"post without a body":     "POST / 0 [] tag, body 0",
	}
	kinds := append(Kinds(), []Kind{
		{"shortest", Config{BodySize: 1}},
		// More than net/http buffers, so that the answer comes in chunks.
		{"get with a body", Config{Method: http.MethodGet, Path: "/x?d=0s", BodySize: 10_000}},
		{"all about the body", Config{Trailer: true, Expect: true, BodyPause: time.Millisecond, BodySize: 100_000}},
		{"304 to a post", Config{Path: "/?status=304", Status: http.StatusNotModified}},
		{"204 to an awaited chunk", Config{Path: "/?status=204", Status: http.StatusNoContent, Chunked: true, Expect: true}},
		{"404 to a get", Config{Path: "/?status=404", Status: http.StatusNotFound, Method: http.MethodGet, NoBody: true}},
		{"head with a body", Config{Method: http.MethodHead}},
		{"post without a body", Config{NoBody: true}},
	}...)
	const keep, fresh = 2, 1
	var tags sync.Map
	serveKind := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if got := understood(r, body); got != want[name] || err != nil || r.ProtoMajor != 1 {
				t.Errorf("server read %q by %s, %v, want %q", got, r.Proto, err, want[name])
			}
			tag := cmp.Or(r.Header.Get(tagField), string(body[:min(len(body), 51)]))
			if _, twice := tags.LoadOrStore(tag, true); twice {
				t.Errorf("two requests with the tag %q", tag)
			}
			if isFresh := strings.Contains(tag, "client 000002"); r.Close != isFresh {
				t.Errorf("%q says Connection: close: %t", tag, r.Close)
			}
			reply(w, r, body)
		}
	}
	sockets := t.TempDir()
	for i, kind := range kinds {
		for _, over := range []string{"tcp", "TLS", "unix"} {
			t.Run(kind.Name+" over "+over, func(t *testing.T) {
				t.Parallel()
				cfg, handler := kind.Config, serveKind(kind.Name)
				cfg.Clients, cfg.Fresh = keep, fresh
				switch over {
				case "TLS":
					const http2 = true // offered by the server, not wanted by the client
					cfg.Addr, cfg.TLS = serveTLS(t, handler, http2)
				case "unix":
					cfg.Network, cfg.Addr = "unix", filepath.Join(sockets, fmt.Sprint(i))
					ln, err := net.Listen(cfg.Network, cfg.Addr)
					if err != nil {
						t.Skipf("no unix sockets on this system: %v", err)
					}
					srv := &http.Server{Handler: handler}
					t.Cleanup(func() { srv.Close() })
					go srv.Serve(ln)
				default:
					cfg.Addr = serve(t, handler)
				}
				var ended, dialed [keep + fresh]atomic.Int64
				cfg.Observe = func(s Sample) {
					ended[s.Client].Add(1)
					if s.Dialed {
						dialed[s.Client].Add(1)
					}
					if s.Dialed == s.Reused || s.Err != nil || s.Latency <= 0 || s.Server != echoServer {
						t.Errorf("sample %+v", s)
					}
				}
				r := runFor(t, cfg, 12)
				connects := int64(0)
				for id := range ended {
					want := ended[id].Load()
					if id < keep {
						want = min(want, 1)
					}
					if n := dialed[id].Load(); n != want {
						t.Errorf("client %d dialed %d times, want %d", id, n, want)
					}
					connects += want
				}
				if r.Failed != 0 || r.Connects != int(connects) || r.Reconnects != 0 {
					t.Errorf("want 0 failed over %d connections: %v", connects, r)
				}
				if r.Served[echoServer] != r.Requests || r.Latency.Count() != r.Requests || r.Latency.Max() <= 0 {
					t.Errorf("served %v, %d latencies: %v", r.Served, r.Latency.Count(), r)
				}
			})
		}
	}
}

// understood is a request as net/http has read it.
func understood(r *http.Request, body []byte) string {
	got := fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.ContentLength, " ", r.TransferEncoding, " ")
	if expect := r.Header.Get("Expect"); expect != "" {
		got += expect + ", "
	}
	if r.Header.Get(tagField) != "" {
		got += "tag, "
	}
	got += fmt.Sprint("body ", len(body))
	if tag := r.Trailer.Get(trailerField); tag != "" && strings.HasPrefix(string(body), tag) {
		got += ", its tag behind it"
	}
	return got
}

// given is an answer as it goes on the wire.
type given struct{ status, tag, body string }

func (g given) String() string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nX-Tag: %s\r\nContent-Length: %d\r\n\r\n%s", g.status, g.tag, len(g.body), g.body)
}

// Whatever is asked, and however: each fault is seen, once for every request.
func TestKindsSeeFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(right, last given) string // last is right for the request before
		want  []Reason
	}{
		"the answer to another request": {func(right, last given) string {
			return given{right.status, last.tag, last.body}.String()
		}, []Reason{WrongTag, WrongBody}},
		"empty": {func(right, _ given) string { return given{status: right.status}.String() }, []Reason{WrongTag, WrongBody}},
		"another status": {func(right, _ given) string {
			return given{"503 Service Unavailable", right.tag, right.body}.String()
		}, []Reason{"status 503"}},
		"none": {func(given, given) string { return "" }, []Reason{NoAnswer}},
		"cut short": {func(right, _ given) string {
			s := right.String()
			return s[:len(s)-1]
		}, []Reason{Truncated, Malformed}},
		"given twice": {func(right, _ given) string { return right.String() + right.String() }, []Reason{Surplus}},
		"longer":      {func(right, _ given) string { return right.String() + "!" }, []Reason{Surplus}},
	} {
		for _, kind := range Kinds() {
			t.Run(name+"/"+kind.Name, func(t *testing.T) {
				t.Parallel()
				var served atomic.Int64
				var mu sync.Mutex
				var last given
				cfg := kind.Config
				cfg.Clients, cfg.Fresh, cfg.BodyPause = 2, 1, min(cfg.BodyPause, time.Millisecond)
				cfg.Addr = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					served.Add(1)
					body, _ := io.ReadAll(r.Body)
					right := given{"200 OK", r.Header.Get(tagField), string(body)}
					if cfg.Status == http.StatusNotModified {
						right.status = "304 Not Modified"
					}
					if r.Method == http.MethodHead {
						right.body = ""
					}
					mu.Lock()
					before := last
					last = right
					mu.Unlock()
					hijacked(w, tt.spoil(right, before))
				}))
				r := runFor(t, cfg, 6)
				wantFailures(t, r, firstOf(r, tt.want))
				if int(served.Load()) != r.Requests {
					t.Errorf("server read %d requests, clients counted %d", served.Load(), r.Requests)
				}
			})
		}
	}
}

// hijacked says the words to the client and closes the connection.
func hijacked(w http.ResponseWriter, words string) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, words)
}

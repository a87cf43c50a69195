package load

import (
	"io"
	"net/http"
	"testing"
	"time"
)

// prepared is a client's third request as it goes on the wire.
func prepared(cfg Config, fresh bool) *request {
	cfg.Addr = "h:1"
	cfg = cfg.withDefaults()
	q := newRequest(&cfg, 5, fresh)
	q.nonce = 0xabc
	q.prepare(2)
	q.prepare(3)
	return q
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	const tag = "0000000000000abc client 000005 request 000000000003"
	for _, tt := range []struct {
		name  string
		cfg   Config
		fresh bool
		want  string
	}{
		{"zero", Config{BodySize: 55}, false,
			"POST / HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\nContent-Length: 55\r\n\r\n" + tag + " abc"},
		{"fresh", Config{BodySize: 1}, true,
			"POST / HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\nContent-Length: 52\r\nConnection: close\r\n\r\n" + tag + " "},
		{"get", Config{Method: "GET", NoBody: true}, false, "GET / HTTP/1.1\r\nHost: h:1\r\nX-Tag: " + tag + "\r\n\r\n"},
		{"post without a body", Config{NoBody: true}, false,
			"POST / HTTP/1.1\r\nHost: h:1\r\nContent-Length: 0\r\nX-Tag: " + tag + "\r\n\r\n"},
		{"what is about the body without one", Config{Method: "GET", NoBody: true, Trailer: true, Expect: true, BodyPause: 1}, true,
			"GET / HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\nX-Tag: " + tag + "\r\n\r\n"},
		{"head with a body", Config{Method: "HEAD", BodySize: 52}, false,
			"HEAD / HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\nContent-Length: 52\r\nX-Tag: " + tag + "\r\n\r\n" + tag + " "},
		{"trailer", Config{Trailer: true, BodySize: 72}, false,
			"POST / HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n" +
				"2\r\n00\r\n4\r\n0000\r\n6\r\n000000\r\n8\r\n0abc cli\r\na\r\nent 000005\r\nc\r\n request 000\r\n" +
				"e\r\n000000003 abcd\r\n10\r\nefghijklmnopqrst\r\n0\r\nX-Trailer: " + tag + "\r\n\r\n"},
	} {
		if got := string(prepared(tt.cfg, tt.fresh).wire); got != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestPiecesAreUnevenAndTheWhole(t *testing.T) {
	t.Parallel()
	for size := len(prepared(Config{BodySize: 1}, false).body); size < 5000; size++ {
		before := 0
		for k := 1; k <= bodyPieces; k++ {
			end := pieceEnd(size, k, bodyPieces)
			if end <= before {
				t.Fatalf("of %d bytes, piece %d ends at %d, the one before at %d", size, k, end, before)
			}
			before = end
		}
		if before != size || pieceEnd(size, 1, 1) != size {
			t.Fatalf("the pieces of %d bytes are %d", size, before)
		}
	}
}

// What one kind does goes together with what another does.
func TestKindsTogether(t *testing.T) {
	t.Parallel()
	addr := serve(t, echo)
	for name, cfg := range map[string]Config{
		"all about the body":      {Trailer: true, Expect: true, BodyPause: time.Millisecond, BodySize: 100_000},
		"304 to a post":           {Path: "/?status=304", Status: http.StatusNotModified},
		"204 to an awaited chunk": {Path: "/?status=204", Status: http.StatusNoContent, Chunked: true, Expect: true},
		"404 to a get":            {Path: "/?status=404", Status: http.StatusNotFound, Method: http.MethodGet, NoBody: true},
		"head with a body":        {Method: http.MethodHead},
		"post without a body":     {NoBody: true},
	} {
		cfg.Addr, cfg.Clients, cfg.Fresh = addr, 1, 1
		if r := runFor(t, cfg, 10); r.Failed != 0 || r.Reconnects != 0 {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestWrongAnswersWithoutABody(t *testing.T) {
	t.Parallel()
	get := Config{Method: http.MethodGet, NoBody: true}
	for _, tt := range []struct {
		name   string
		cfg    Config
		answer func(h http.Header, w io.Writer, tag string)
		want   Reason
		words  string
	}{
		{"no tag", get, func(h http.Header, _ io.Writer, _ string) { h.Del(tagField) }, WrongTag, "got []"},
		{"other tag", get, func(h http.Header, _ io.Writer, tag string) { h.Set(tagField, tag+"0") }, WrongTag, `0"]`},
		{"two tags", get, func(h http.Header, _ io.Writer, tag string) { h.Add(tagField, tag) }, WrongTag, `" "`},
		{"a body", get, func(_ http.Header, w io.Writer, _ string) { io.WriteString(w, "?") }, WrongBody, `got 1 bytes "?"`},
		{"200 for 304", Config{Method: http.MethodGet, NoBody: true, Status: http.StatusNotModified},
			func(http.Header, io.Writer, string) {}, "status 200", "body begins"},
		{"200 for 404", Config{Status: http.StatusNotFound}, func(http.Header, io.Writer, string) {}, "status 200", "body begins"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.cfg
			cfg.Addr = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tag := r.Header.Get(tagField)
				w.Header().Set(tagField, tag)
				tt.answer(w.Header(), w, tag)
			}))
			wantFailures(t, runFor(t, cfg, 4), tt.want, tt.words)
		})
	}
}

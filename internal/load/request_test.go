package load

import "testing"

// prepared is a client's third request as it goes on the wire.
func prepared(cfg Config, fresh bool) *request {
	cfg.Addr = "h:1"
	q := newRequest(cfg.withDefaults(), 5, fresh)
	q.nonce = 0xabc
	q.prepare(2)
	q.prepare(3)
	return q
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	const tag = "0000000000000abc client 000005 request 000000000003"
	const host, text, field = "Host: h:1\r\n", "Content-Type: text/plain\r\n", "X-Tag: " + tag + "\r\n"
	for _, tt := range []struct {
		name  string
		cfg   Config
		fresh bool
		want  string
	}{
		{"zero", Config{BodySize: 55}, false,
			"POST / HTTP/1.1\r\n" + host + text + "Content-Length: 55\r\n\r\n" + tag + " abc"},
		{"fresh", Config{BodySize: 1}, true,
			"POST / HTTP/1.1\r\n" + host + text + "Content-Length: 52\r\nConnection: close\r\n\r\n" + tag + " "},
		{"get", Config{Method: "GET", NoBody: true}, false, "GET / HTTP/1.1\r\n" + host + field + "\r\n"},
		{"post without a body", Config{NoBody: true}, false,
			"POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + field + "\r\n"},
		{"all without one", Config{Method: "GET", NoBody: true, Trailer: true, Expect: true, BodyPause: 1}, true,
			"GET / HTTP/1.1\r\n" + host + "Connection: close\r\n" + field + "\r\n"},
		{"head with a body", Config{Method: "HEAD", BodySize: 52}, false,
			"HEAD / HTTP/1.1\r\n" + host + text + "Content-Length: 52\r\n" + field + "\r\n" + tag + " "},
		{"trailer", Config{Trailer: true, BodySize: 72}, false,
			"POST / HTTP/1.1\r\n" + host + text + "Transfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n" +
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

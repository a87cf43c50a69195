package wsmove

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"reflect"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/must"
)

func TestLuggage_ArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/room/%2Fx?token=a%20b", nil)
	r.RequestURI, r.Host = "/room/%2Fx?token=a%20b", "chat.example"
	r.Header = http.Header{"Cookie": {"a=1", "b=2"}, "X-Latin": {"caf\xe9"}, "Sec-Websocket-Key": {"k=="}}
	l := &luggage{
		meta:    meta{Batch: 1 << 63, Together: 3, Protocol: "v1", Extensions: "permessage-deflate"},
		request: headOf(r), unread: []byte("\x81"), unsent: []byte("\xff\x00"), state: []byte("last=7"),
	}
	b := must.Get(l.encode())(t)
	got := must.Get(decodeLuggage(b))(t)
	if !reflect.DeepEqual(got, l) {
		t.Errorf("%+v\nwant %+v", got, l)
	}
	again := must.Get(requestOf(got.request))(t)
	if !reflect.DeepEqual(again.Header, r.Header) || again.URL.String() != r.RequestURI || again.RequestURI != r.RequestURI ||
		again.Host != r.Host || again.Method != r.Method || again.ProtoMinor != 1 {
		t.Errorf("%+v\nwant %+v", again, r)
	}
}

// TestLuggage_FitsIntoAHandoff with all its parts at their bounds.
func TestLuggage_FitsIntoAHandoff(t *testing.T) {
	t.Parallel()
	l := &luggage{
		meta:    meta{Batch: 1<<64 - 1, Together: 1 << 30, Protocol: strings.Repeat("p", maxMeta/4), Extensions: strings.Repeat("e", maxMeta/4)},
		request: make([]byte, maxRequest), unread: make([]byte, maxUnread), unsent: make([]byte, maxUnsent), state: make([]byte, MaxState),
	}
	if n := len(must.Get(l.encode())(t)); n > core.MaxHandoffState {
		t.Errorf("%d bytes, and %d is the most", n, core.MaxHandoffState)
	}
}

// FuzzLuggage: what decodes is what encodes to the same.
func FuzzLuggage(f *testing.F) {
	l := &luggage{meta: meta{Batch: 1, Together: 2, Protocol: "v1"}, request: []byte("GET / HTTP/1.1\r\n\r\n"), unread: []byte("u"), state: []byte("s")}
	f.Add(must.Get(l.encode())(f))
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\xff\xff\xff\xff{}"))
	f.Add([]byte("\x00\x00\x00\x14{\"sizes\":[-1,0,0,0]}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLuggage(b)
		if err != nil {
			return
		}
		again := must.Get(decodeLuggage(must.Get(l.encode())(t)))(t)
		if again.meta != l.meta || !bytes.Equal(again.request, l.request) || !bytes.Equal(again.unread, l.unread) ||
			!bytes.Equal(again.unsent, l.unsent) || !bytes.Equal(again.state, l.state) {
			t.Errorf("%+v, then %+v", l, again)
		}
	})
}

// FuzzRequest: what net/http has read as a handshake is the same request in the new process.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("GET /room/%2Fx?token=a%20b HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"))
	f.Add([]byte("GET http://other/ HTTP/1.1\r\nHost: chat\r\nUpgrade: WebSocket\r\nContent-Length: 3\r\n\r\nabc"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost:\r\nupgrade: websocket\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\nX: \xe9\t \r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || !asksForWebSocket(r) || !isServed(r.Header) {
			return
		}
		again, err := requestOf(headOf(r))
		if err != nil {
			t.Fatalf("%v: %q", err, headOf(r))
		}
		if again.Method != r.Method || again.RequestURI != r.RequestURI || again.Host != r.Host ||
			again.URL.String() != r.URL.String() || !reflect.DeepEqual(again.Header, trimmed(r.Header)) {
			t.Fatalf("%+v\nwant %+v", again, r)
		}
	})
}

// trimmed is without the space behind values that net/http leaves when it joins lines, and which means nothing (RFC 9110,
// section 5.5).
func trimmed(h http.Header) http.Header {
	h = h.Clone()
	for _, values := range h {
		for i, v := range values {
			values[i] = textproto.TrimString(v)
		}
	}
	return h
}

// isServed reports whether net/http's server takes such a header: its names are tokens (RFC 9110, section 5.6.2).
func isServed(h http.Header) bool {
	for name := range h {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool {
			letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
			return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
		}) {
			return false
		}
	}
	return true
}

package load

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What net/http's HTTP/2 server answers is taken for that, over TLS and in the clear, with several streams at once and
// bodies in pieces.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	for name, overTLS := range map[string]bool{"TLS": true, "in the clear": false} {
		for _, cfg := range []Config{{}, {Chunked: true, Streams: 5, BodySize: 30_000, Clients: 2}} {
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 || cfg.Chunked != (r.ContentLength < 0) {
					t.Errorf("%s: %s with %d bytes", name, r.Proto, r.ContentLength)
				}
				echo(w, r)
			})
			cfg.HTTP2 = true
			if overTLS {
				cfg.Addr, cfg.TLS = serveTLS(t, handler, true)
			} else {
				srv := httptest.NewUnstartedServer(handler)
				srv.Config.Protocols = new(http.Protocols)
				srv.Config.Protocols.SetUnencryptedHTTP2(true)
				srv.Start()
				t.Cleanup(srv.Close)
				cfg.Addr = srv.Listener.Addr().String()
			}
			if r := runFor(t, cfg, 40); r.Failed != 0 || r.Connects != max(cfg.Clients, 1) {
				t.Errorf("%s: %v", name, r)
			}
		}
	}
}

// Each way to lose a stream is counted as what it is.
func TestHTTP2Failures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer []byte // to the second stream
		want   Reason
		words  string
	}{
		"GOAWAY": {appendFrame(appendFrame(nil, frameGoAway, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0),
			frameHeaders, flagEndHeaders|flagEndStream, 1, 0x88), RefusedStream, "stream 3: GOAWAY, last stream 1"},
		"reset": {appendNumber(nil, frameReset, 3, 7), ResetStream, "stream 3: RST_STREAM, error 7"},
		"body": {appendFrame(appendFrame(nil, frameHeaders, flagEndHeaders, 3, 0x88),
			frameData, flagEndStream, 3, '?'), WrongBody, `got 1 bytes "?"`},
		"end": {nil, NoAnswer, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveFrames(t, tt.answer)
			r := runFor(t, Config{Addr: addr, HTTP2: true, Streams: 2, Timeout: 5 * time.Second}, 2)
			if r.Reasons[tt.want] == 0 {
				t.Errorf("no %q: %v", tt.want, r)
			}
			for _, err := range r.Errors {
				if strings.Contains(err.Error(), tt.words) {
					return
				}
			}
			t.Errorf("no error says %q: %v", tt.words, r)
		})
	}
}

// serveFrames is a server that reads until a client has opened stream 3, says answer, and closes.
func serveFrames(t *testing.T, answer []byte) string {
	t.Helper()
	return serveConns(t, func(c *net.TCPConn, in *bufio.Reader) {
		_, _ = io.ReadFull(in, make([]byte, len(http2Preface)))
		_, _ = c.Write(appendFrame(nil, frameSettings, 0, 0))
		for f := (frame{}); f.stream != 3 || f.kind != frameData; {
			var err error
			if f, err = readFrame(in); err != nil {
				return
			}
		}
		_, _ = c.Write(answer)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, in)
	})
}

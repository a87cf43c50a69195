package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// Whatever is asked, the answers come in order, over one connection.
func TestPipeline(t *testing.T) {
	t.Parallel()
	addr := serve(t, echo)
	for name, cfg := range map[string]Config{
		"post": {BodySize: 8 << 10}, "chunked": {Chunked: true, BodySize: 2 << 10},
		"get": {Method: http.MethodGet, NoBody: true},
		"304": {Method: http.MethodGet, NoBody: true, Path: "/?status=304", Status: http.StatusNotModified},
	} {
		cfg.Addr, cfg.Pipeline = addr, 32
		if r := runFor(t, cfg, 100); r.Failed > 0 || r.Connects != 1 || r.Served[echoServer] != r.Requests {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// An answer that is another's, wrong, or the connection's last, is seen, and each request behind it is counted as
// failed.
func TestPipelineSeesFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(w http.ResponseWriter, r *http.Request)
		want  []Reason
	}{
		"tag": {func(_ http.ResponseWriter, r *http.Request) { r.Header.Set(tagField, "another") }, []Reason{WrongTag}},
		"close": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
		}, []Reason{Left}},
		"status": {func(_ http.ResponseWriter, r *http.Request) { r.URL.RawQuery = "status=503" }, []Reason{"status 503"}},
		"body":   {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("?")) }, []Reason{WrongBody}},
		"none":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, []Reason{NoAnswer, Reset}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 20 {
					tt.spoil(w, r)
				}
				echo(w, r)
			}))
			r := runFor(t, Config{Addr: addr, Pipeline: 8, Method: http.MethodGet, NoBody: name != "body"}, 60)
			if r.Failed == 0 || r.Reasons[firstOf(r, tt.want)] != r.Failed || r.Reconnects != 1 {
				t.Error(r)
			}
		})
	}
}

// Two answers that have changed places are seen.
func TestPipelineSeesOrder(t *testing.T) {
	t.Parallel()
	addr := serveConns(t, func(c *net.TCPConn, in *bufio.Reader) {
		first, err := http.ReadRequest(in)
		second, err2 := http.ReadRequest(in)
		if err != nil || err2 != nil {
			return
		}
		for _, r := range []*http.Request{second, first} {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", tagField, r.Header.Get(tagField))
		}
		_, _ = io.Copy(io.Discard, in)
	})
	if r := runFor(t, Config{Addr: addr, Pipeline: 8, Method: http.MethodGet, NoBody: true}, 2); r.Reasons[WrongTag] == 0 {
		t.Error(r)
	}
}

// What comes back is what was sent, and every byte that is lost, given twice or changed is seen.
func TestEcho(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(b []byte) []byte // of the second thousand bytes on
		want   []Reason              // none: it is right
	}{
		"right":  {func(b []byte) []byte { return b }, nil},
		"lost":   {func(b []byte) []byte { return b[1:] }, []Reason{WrongBody}},
		"twice":  {func(b []byte) []byte { return bytes.Repeat(b, 2) }, []Reason{WrongBody, Surplus}},
		"change": {func(b []byte) []byte { return append([]byte{b[0] + 1}, b[1:]...) }, []Reason{WrongBody}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveConns(t, func(c *net.TCPConn, in *bufio.Reader) {
				if r, err := http.ReadRequest(in); err != nil || r.Header.Get("Upgrade") != "echo" {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"+
					"X-Pid: 7\r\nX-Generation: 2\r\n\r\n")
				b := make([]byte, 1000)
				for total := 0; ; {
					n, err := in.Read(b)
					if err != nil {
						return
					}
					out := b[:n]
					if total > 1000 {
						out = tt.change(out)
					}
					if _, err := c.Write(out); err != nil {
						return
					}
					total += n
				}
			})
			r := runFor(t, Config{Addr: addr, Echo: true, Pipeline: 16, BodySize: 2000, Timeout: DefaultTimeout}, 50)
			if tt.want != nil {
				if r.Failed == 0 || r.Reasons[firstOf(r, tt.want)] == 0 {
					t.Error(r)
				}
			} else if r.Failed > 0 || r.Connects != 1 || r.Served[echoServer] != 1 || r.Served[Server{}] != r.Requests-1 {
				t.Error(r)
			}
		})
	}
}

// A server that will not echo is seen.
func TestNoEcho(t *testing.T) {
	t.Parallel()
	wantFailures(t, runFor(t, Config{Addr: serve(t, echo), Echo: true}, 2), "status 200", "will not echo")
}

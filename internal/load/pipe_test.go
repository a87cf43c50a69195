package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
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

// Messages come back as they are, one by one, and what is wrong with one is seen. A server that leaves says so.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	text := func(b []byte) []byte { return append([]byte{b[0]&^0xf | 1}, b[1:]...) }
	for name, tt := range map[string]struct {
		change func(frame []byte) []byte // of a server, from the 20th message on
		want   Reason                    // empty: it is right
	}{
		"right":     {func(b []byte) []byte { return b }, ""},
		"wrong":     {func(b []byte) []byte { return append(b[:len(b)-1], '?') }, WrongBody},
		"in pieces": {func(b []byte) []byte { return append([]byte{b[0] &^ finalFrame}, b[1:]...) }, Malformed},
		"a text":    {text, Malformed},
		"twice":     {func(b []byte) []byte { return append(b, b...) }, WrongBody},
		"leaves":    {func([]byte) []byte { return []byte{finalFrame | opClose, 2, 0x03, 0xf4} }, Left},
		"stops":     {func([]byte) []byte { return []byte{finalFrame | opClose, 2, 0x03, 0xe9} }, Left},
		"breaks":    {func([]byte) []byte { return []byte{finalFrame | opClose, 2, 0x03, 0xea} }, Broken},
		"ends":      {func([]byte) []byte { return nil }, Truncated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serveConns(t, func(c *net.TCPConn, in *bufio.Reader) {
				if r, err := http.ReadRequest(in); err != nil || r.Header.Get("Upgrade") != "websocket" {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
				for n := 1; ; n++ {
					out, err := unmasked(in)
					if err != nil {
						return
					}
					if n >= 20 {
						out = tt.change(out)
					}
					if out == nil { // with what the client goes on sending unread, the kernel would reset it
						_ = c.CloseWrite()
						_, _ = io.Copy(io.Discard, in)
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			})
			// Of up to 70,000 bytes, so that each form of the length is there.
			r := runFor(t, Config{Addr: addr, WebSocket: true, Pipeline: 4, BodySize: 70_000}, 60)
			if tt.want == "" && (r.Failed > 0 || r.Connects != 1) || tt.want != "" && r.Reasons[tt.want] == 0 {
				t.Error(r)
			}
		})
	}
}

// Each form of the length has a shortest and a longest message.
func TestAppendMessage(t *testing.T) {
	t.Parallel()
	for size, head := range map[int]string{
		0: "\x82\x80", 125: "\x82\xfd", 126: "\x82\xfe\x00\x7e", 65535: "\x82\xfe\xff\xff", 65536: "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		body := bytes.Repeat([]byte("abc"), size/3+1)[:size]
		b := appendMessage(nil, body)
		if !bytes.HasPrefix(b, []byte(head+mask)) {
			t.Errorf("a message of %d bytes begins with %x", size, b[:min(len(b), 14)])
		}
		if b, err := unmasked(bufio.NewReader(bytes.NewReader(b))); err != nil || !bytes.HasSuffix(b, body) || len(b) != len(head)+size {
			t.Errorf("a message of %d bytes has %d, %v", size, len(b), err)
		}
	}
}

// unmasked reads a client's message, and returns it as the server's.
func unmasked(in *bufio.Reader) ([]byte, error) {
	frame := make([]byte, 2, 16)
	if _, err := io.ReadFull(in, frame); err != nil {
		return nil, err
	}
	size := uint64(frame[1] &^ maskedFrame)
	if wide := map[uint64]int{longFrame: 2, hugeFrame: 8}[size]; wide > 0 {
		frame = frame[:2+wide]
		if _, err := io.ReadFull(in, frame[2:]); err != nil {
			return nil, err
		}
		var n [8]byte
		copy(n[8-wide:], frame[2:])
		size = binary.BigEndian.Uint64(n[:])
	}
	frame[1] &^= maskedFrame
	body := make([]byte, 4+size)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	for i := range body[4:] {
		body[4+i] ^= body[i%4]
	}
	return append(frame, body[4:]...), nil
}

// With HTTP2 a client thinks, too: one request at a time, and a pause.
func TestHTTP2Thinks(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(echo)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	began := time.Now()
	r := runFor(t, Config{Addr: srv.Listener.Addr().String(), HTTP2: true, Think: 10 * time.Millisecond}, 20)
	if took := time.Since(began); r.Failed > 0 || r.Connects != 1 || took < 190*time.Millisecond {
		t.Errorf("%v after %v", r, took)
	}
}

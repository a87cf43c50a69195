package load

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo is the handler that the package comment asks for. The headers say that process 7 of generation 2 answered.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	reply(w, r, body)
})

var echoServer = Server{PID: "7", Generation: "2"}

// reply answers as echo does, with what it has read of the request.
func reply(w http.ResponseWriter, r *http.Request, body []byte) {
	w.Header().Set("X-Pid", "7")
	w.Header().Set("X-Generation", "2")
	if tag := r.Header.Get(tagField); tag != "" {
		w.Header().Set(tagField, tag)
	}
	if status, err := strconv.Atoi(r.URL.Query().Get("status")); err == nil {
		w.WriteHeader(status)
		return
	}
	w.Write(body)
}

// serve starts an HTTP server with the handler and returns its address.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// serveTLS is serve over TLS, and returns what trusts the server.
func serveTLS(t *testing.T, handler http.Handler, http2 bool) (addr string, trust *tls.Config) {
	t.Helper()
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it hears of clients that do not trust it
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), srv.Client().Transport.(*http.Transport).TLSClientConfig
}

// serveConns plays a server on each connection, which is closed when play returns.
func serveConns(t *testing.T, play func(c *net.TCPConn, in *bufio.Reader)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				play(c.(*net.TCPConn), bufio.NewReader(c))
			}()
		}
	}()
	return ln.Addr().String()
}

// serveRaw starts a server that reads a request from each connection, but for a body that is held back, and then does
// with it whatever answer does. It counts the requests that it has read.
func serveRaw(t *testing.T, answer func(c *net.TCPConn, tag, body string)) (addr string, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	return serveConns(t, func(c *net.TCPConn, in *bufio.Reader) {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		var body []byte
		if r.Header.Get("Expect") == "" {
			body, _ = io.ReadAll(r.Body)
		}
		requests.Add(1)
		answer(c, r.Header.Get(tagField), string(body))
	}), requests
}

// echoRaw answers the body, and does not say that the connection ends.
func echoRaw(c *net.TCPConn, _, body string) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
}

// runFor runs load until the clients have ended n requests between them.
func runFor(t *testing.T, cfg Config, n int) Result {
	t.Helper()
	reached := make(chan struct{})
	var ended atomic.Int64
	observe := cfg.Observe
	cfg.Observe = func(s Sample) {
		if observe != nil {
			observe(s)
		}
		if ended.Add(1) == int64(n) {
			close(reached)
		}
	}
	run := Start(cfg)
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Errorf("%d of %d requests after a minute", ended.Load(), n)
	}
	result := run.Stop()
	if result.Requests < n {
		t.Errorf("result has %d requests, at least %d ended: %v", result.Requests, n, result)
	}
	return result
}

// wantFailures checks that every request failed for the one reason, and that an error that was kept tells more, with
// the given words in it.
func wantFailures(t *testing.T, r Result, reason Reason, words ...string) {
	t.Helper()
	if r.Failed != r.Requests || r.Reasons[reason] != r.Failed || len(r.Reasons) != 1 {
		t.Errorf("want every request failed as %q, got %v", reason, r)
	}
	if r.Latency.Count() != 0 || len(r.Served) != 0 {
		t.Errorf("failures have latencies or a server: %v", r)
	}
	if want := min(r.Failed, keptErrors); len(r.Errors) != want || want == 0 {
		t.Fatalf("kept %d errors, want %d", len(r.Errors), want)
	}
	for _, word := range words {
		if !strings.Contains(r.Errors[0].Error(), word) {
			t.Errorf("error %q does not say %q", r.Errors[0], word)
		}
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

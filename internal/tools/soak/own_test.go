package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// enough lets a client run until it has n answers or has failed, and stops it.
func enough(t *testing.T, addr string, n int, client ownClient) (load.Result, *verdict) {
	t.Helper()
	v := newVerdict(t.Output())
	run := startOwn(load.Config{Addr: addr}, 1, newTally("test", v), &options{seed: 1}, 1, client)
	defer run.Stop()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if r := run.Snapshot(); r.Requests >= n || r.Failed > 0 {
			break
		}
	}
	return run.Stop(), v
}

func serveAnswers(t *testing.T, s *server) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	r, v := enough(t, serveAnswers(t, &server{faults: newFaults("")}), 300, pipeline)
	if r.Failed > 0 || r.Requests < 300 || r.Connects != 1 || v.err() != nil {
		t.Errorf("%v, %v", r, v.err())
	}
}

// TestPipelineComplains: an answer that is another's, wrong, an older generation's,
// or the connection's last.
func TestPipelineComplains(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(n int64, w http.ResponseWriter, r *http.Request)
		want  check
	}{
		"tag":    {func(_ int64, _ http.ResponseWriter, r *http.Request) { r.Header.Set("X-Tag", "another") }, checkRequests},
		"close":  {func(_ int64, w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, checkRequests},
		"status": {func(_ int64, _ http.ResponseWriter, r *http.Request) { r.URL.RawQuery = "status=503" }, checkRequests},
		"body":   {func(_ int64, w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "?") }, checkRequests},
		"none":   {func(int64, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, checkRequests},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &server{faults: newFaults("")}
			var n atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n := n.Add(1); n > 20 {
					c.spoil(n, w, r)
				}
				s.answer(w, r)
			}))
			t.Cleanup(srv.Close)
			if r, v := enough(t, srv.Listener.Addr().String(), 100, pipeline); v.failures(c.want) == 0 || r.Failed == 0 {
				t.Errorf("%v, %v", r, v.err())
			}
		})
	}
}

// TestPipelineOrder: answers that have changed places.
func TestPipelineOrder(t *testing.T) {
	t.Parallel()
	requests := make(chan piped, 2)
	requests <- piped{tag: "a", body: "1"}
	requests <- piped{tag: "b", body: "2"}
	close(requests)
	near, far := net.Pipe()
	go func() {
		for _, a := range []string{"b2", "a1"} {
			fmt.Fprintf(far, "HTTP/1.1 200 OK\r\nX-Generation: 0\r\nX-Tag: %s\r\nContent-Length: 1\r\n\r\n%s", a[:1], a[1:])
		}
	}()
	defer near.Close()
	room := make(chan struct{}, 2)
	room <- struct{}{}
	if err := readAnswers(near, requests, room, newTally("test", newVerdict(t.Output()))); err == nil || !strings.Contains(err.Error(), `to "b"`) {
		t.Error(err)
	}
}

// serveEcho echoes through a function, after an answer that says so.
func serveEcho(t *testing.T, change func(total int, b []byte) []byte) string {
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
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Generation: 0\r\n\r\n")
				b := make([]byte, 1000)
				for total := 0; ; {
					n, err := r.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write(change(total, b[:n])); err != nil {
						return
					}
					total += n
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestStream(t *testing.T) {
	t.Parallel()
	r, v := enough(t, serveEcho(t, func(_ int, b []byte) []byte { return b }), 50, stream)
	if r.Failed > 0 || r.Requests < 50 || r.Connects != 1 || v.err() != nil || r.Served[load.Server{Generation: "0"}] != 1 {
		t.Errorf("%v, %v", r, v.err())
	}
}

func TestStreamComplains(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(total int, b []byte) []byte{
		"lost": func(total int, b []byte) []byte {
			if total > 1000 && len(b) > 1 {
				return b[1:]
			}
			return b
		},
		"twice": func(total int, b []byte) []byte {
			if total > 1000 {
				return bytes.Repeat(b, 2)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r, v := enough(t, serveEcho(t, change), 1000, stream); r.Failed == 0 || v.failures(checkRequests) == 0 {
				t.Errorf("%v, %v", r, v.err())
			}
		})
	}
}

package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Each of these servers reads a whole request and then fails it in a way of its
// own. That the server has read exactly as many requests as the clients counted
// is what "never retries" means.
func TestFailuresAreCountedOnceWithTheirReason(t *testing.T) {
	t.Parallel()
	reply := func(format string, args ...any) func(*net.TCPConn, string) {
		return func(c *net.TCPConn, _ string) { fmt.Fprintf(c, format, args...) }
	}
	for _, tt := range []struct {
		name   string
		answer func(c *net.TCPConn, body string)
		want   Reason
		words  string
	}{
		{"closed", func(*net.TCPConn, string) {}, NoAnswer, "EOF"},
		{"reset", func(c *net.TCPConn, _ string) { c.SetLinger(0) }, Reset, "reset"},
		{"in the status line", reply("HTTP/1.1 2"), Malformed, "header"},
		{"in the header", reply("HTTP/1.1 200 OK\r\nContent-Length: 256\r\n"), Truncated, "header"},
		{"in the body", reply("HTTP/1.1 200 OK\r\nContent-Length: 256\r\n\r\nhalf"), Truncated, "4 bytes"},
		{"in a chunk", reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nhalf"), Truncated, "4 bytes"},
		{"no HTTP", reply("+PONG\r\n"), Malformed, "PONG"},
		{"other body", reply("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"), WrongBody, `"other"`},
		{"no body", reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), WrongBody, "got 0 bytes"},
		{"longer body", func(c *net.TCPConn, body string) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s!", len(body)+1, body)
		}, WrongBody, "got 257 bytes"},
		{"twice", func(c *net.TCPConn, body string) {
			one := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			io.WriteString(c, one+one)
		}, Surplus, "bytes"},
		{"status", func(c *net.TCPConn, body string) {
			fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}, "status 503", "client 000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, requests := serveRaw(t, tt.answer)
			r := runFor(t, Config{Addr: addr, Clients: 2, Fresh: 1}, 15)
			wantFailures(t, r, tt.want, tt.words, "new connection")
			if int(requests.Load()) != r.Requests {
				t.Errorf("server read %d requests, clients counted %d", requests.Load(), r.Requests)
			}
			if r.Connects != r.Requests {
				t.Errorf("%d connections for %d failures", r.Connects, r.Requests)
			}
			if r.Latency.Count() != 0 || len(r.Served) != 0 {
				t.Errorf("failures have latencies or a server: %v", r)
			}
		})
	}
}

// This is the loss that a restart causes: the connection is closed while it is
// idle, and the client finds out by a request.
func TestIdleConnectionClosedIsAFailureAndNotRetried(t *testing.T) {
	t.Parallel()
	addr, requests := serveRaw(t, func(c *net.TCPConn, body string) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		// Closed without having said so.
	})
	var mu sync.Mutex
	var reused []bool
	r := runFor(t, Config{Addr: addr, Observe: func(s Sample) {
		mu.Lock()
		defer mu.Unlock()
		reused = append(reused, s.Reused)
		if failed := s.Err != nil; failed != s.Reused {
			t.Errorf("request %d: reused %t, %v", len(reused), s.Reused, s.Err)
		}
	}}, 6)
	if want := r.Requests / 2; r.Failed != want || int(requests.Load()) != r.Requests-want {
		t.Errorf("server read %d, want every second of %d failed: %v", requests.Load(), r.Requests, r)
	}
	if !strings.Contains(r.Errors[0].Error(), "request 2, reused connection") {
		t.Error(r.Errors[0])
	}
	for reason := range r.Reasons {
		// Which one depends on whether the close or the write came first.
		if reason != NoAnswer && reason != Reset {
			t.Error(r)
		}
	}
}

func TestAnswerToAnotherRequestIsSeen(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var last []byte
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		body, last = last, body
		mu.Unlock()
		w.Write(body)
	}))
	wantFailures(t, runFor(t, Config{Addr: addr, Clients: 2}, 10), WrongBody)
}

func TestRefusedIsCountedAndDialedAgain(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	r := runFor(t, Config{Addr: addr}, 3)
	reason := Refused
	if runtime.GOOS == "windows" {
		reason = NotConnected // its error number is another
	}
	wantFailures(t, r, reason, "new connection")
	if r.Connects != 0 {
		t.Error(r)
	}
	// 3 requests, 2 pauses: an unpaused client would count thousands.
	if r.Elapsed < 2*redialPause {
		t.Errorf("%d dials in %v", r.Requests, r.Elapsed)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	addr, _ := serveRaw(t, func(*net.TCPConn, string) { <-release })
	defer close(release)
	r := runFor(t, Config{Addr: addr, Timeout: 20 * time.Millisecond}, 2)
	wantFailures(t, r, TimedOut)
}

func TestFailedClientGoesOn(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%3 == 0 {
			panic(http.ErrAbortHandler)
		}
		echo(w, r)
	}))
	r := runFor(t, Config{Addr: addr}, 9)
	if r.Failed != r.Requests/3 || r.Connects != (r.Requests-1)/3+1 {
		t.Errorf("want every third failed and a new connection after it: %v", r)
	}
	failure := (*RequestError)(nil)
	if !errors.As(r.Errors[0], &failure) || failure.Request != 3 || !failure.Reused || !errors.Is(failure, io.EOF) {
		t.Errorf("first failure is %#v", r.Errors[0])
	}
}

package load

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
)

// Each of these servers reads a whole request, but for a body that is held back, answers it in a way of its own and
// closes the connection. That the server has read exactly as many requests as the clients counted is what "never
// retries" means.
func TestFailuresAreCountedOnceWithTheirReason(t *testing.T) {
	t.Parallel()
	get := Config{Method: http.MethodGet, NoBody: true}
	anyGet := Config{Method: http.MethodGet, Any: true}
	const ok, down = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 503 Service Unavailable\r\n"
	for _, tt := range []struct {
		name   string
		cfg    Config
		answer string // TAG and BODY are the request's
		want   Reason // empty if it is taken for a good one
		words  string
	}{
		{"closed", Config{}, "", NoAnswer, "EOF"},
		{"reset", Config{}, "", Reset, "reset"},
		{"in the status line", Config{}, "HTTP/1.1 2", Malformed, "header"},
		{"in the header", Config{}, ok + "Content-Length: 256\r\n", Truncated, "header"},
		{"in the body", Config{}, ok + "Content-Length: 256\r\n\r\nhalf", Truncated, "4 bytes"},
		{"in a chunk", Config{}, ok + "Transfer-Encoding: chunked\r\n\r\n100\r\nhalf", Truncated, "4 bytes"},
		{"no HTTP", Config{}, "+PONG\r\n", Malformed, "PONG"},
		{"other body", Config{}, ok + "Content-Length: 5\r\n\r\nother", WrongBody, `"other"`},
		{"no body", Config{}, ok + "Content-Length: 0\r\n\r\n", WrongBody, "got 0 bytes"},
		{"longer body", Config{}, ok + "Content-Length: 257\r\n\r\nBODY!", WrongBody, "got 257 bytes"},
		{"status", Config{}, down + "Content-Length: 256\r\n\r\nBODY", "status 503", "client 000"},

		{"no tag", get, ok + "Content-Length: 0\r\n\r\n", WrongTag, "got []"},
		{"other tag", get, ok + "X-Tag: TAG0\r\nContent-Length: 0\r\n\r\n", WrongTag, `0"]`},
		{"two tags", get, ok + "X-Tag: TAG\r\nX-Tag: TAG\r\nContent-Length: 0\r\n\r\n", WrongTag, `" "`},
		{"a body", get, ok + "X-Tag: TAG\r\nContent-Length: 1\r\n\r\n?", WrongBody, `got 1 bytes "?"`},
		{"200 for 304", Config{Method: http.MethodGet, NoBody: true, Status: http.StatusNotModified},
			ok + "X-Tag: TAG\r\nContent-Length: 0\r\n\r\n", "status 200", "body begins"},
		{"200 for 404", Config{Status: http.StatusNotFound}, ok + "Content-Length: 0\r\n\r\n", "status 200", "body begins"},

		{"200 instead of 100", Config{Expect: true}, ok + "X-Pid: 7\r\nContent-Length: 0\r\n\r\n",
			Early, "200 OK: it came instead of 100 Continue"},
		{"503 instead of 100", Config{Expect: true}, down + "X-Pid: 7\r\n\r\n", "status 503", "instead of 100 Continue"},
		{"both at once", Config{Expect: true}, "HTTP/1.1 100 Continue\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n",
			Early, "after 100 Continue"},
		{"another interim answer", Config{Expect: true}, "HTTP/1.1 103 Early Hints\r\n\r\n",
			"status 103", "instead of 100 Continue"},
		{"nothing instead of 100", Config{Expect: true}, "", NoAnswer, "wait for 100 Continue: EOF"},
		{"half of a 100", Config{Expect: true}, "HTTP/1.1 100 Con", Truncated, "wait for 100 Continue"},

		// With Any it does not matter what the answer says, and whether it is whole does.
		{"any page", anyGet, ok + "Content-Length: 5\r\n\r\nhello", "", ""},
		{"any long page", anyGet, ok + "Content-Length: 300\r\n\r\n" + strings.Repeat("hello ", 50), "", ""},
		{"any that is not found", anyGet, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", ""},
		{"any error", anyGet, down + "Content-Length: 0\r\n\r\n", "status 503", ""},
		{"any cut", anyGet, ok + "Content-Length: 6\r\n\r\nhello", Truncated, ""},
		{"any twice", anyGet, ok + "Content-Length: 4\r\n\r\nhello", Surplus, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, requests := serveRaw(t, func(c *net.TCPConn, tag, body string) {
				if tt.want == Reset {
					_ = c.SetLinger(0)
				}
				_, _ = io.WriteString(c, strings.NewReplacer("TAG", tag, "BODY", body).Replace(tt.answer))
			})
			tt.cfg.Addr, tt.cfg.Clients, tt.cfg.Fresh = addr, 2, 1
			if tt.cfg.Any {
				tt.cfg.Clients = 0 // a good answer does not say that the connection ends
			}
			tt.cfg.Observe = func(s Sample) {
				if named := s.Server.PID == "7"; named != strings.Contains(tt.answer, "X-Pid: 7") {
					t.Errorf("answered by %+v", s.Server)
				}
			}
			r := runFor(t, tt.cfg, 15)
			if tt.want != "" {
				wantFailures(t, r, tt.want, tt.words, "new connection")
			} else if r.Failed > 0 {
				t.Error(r)
			}
			if int(requests.Load()) != r.Requests || r.Connects != r.Requests {
				t.Errorf("server read %d requests: %v", requests.Load(), r)
			}
		})
	}
}

// A server that does not want all of a big body answers and closes, and the client meets that in a write.
func TestAnswerBeforeTheEndOfTheBody(t *testing.T) {
	t.Parallel()
	for want, status := range map[Reason]int{"status 503": http.StatusServiceUnavailable, Early: http.StatusOK} {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
			r := runFor(t, Config{Addr: addr, BodySize: 16 << 20}, 1)
			if r.Reasons[Reset] > 0 && runtime.GOOS != "linux" {
				t.Skip("a reset takes away what was to be read before it")
			}
			wantFailures(t, r, want, "write the request")
		})
	}
}

// This is the loss that a restart causes: the connection is closed while it is idle, and the client finds out by a
// request.
func TestIdleConnectionClosedIsAFailureAndNotRetried(t *testing.T) {
	t.Parallel()
	addr, requests := serveRaw(t, echoRaw)
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
	want := r.Requests / 2
	if r.Failed != want || int(requests.Load()) != r.Requests-want {
		t.Errorf("server read %d, want every second of %d failed: %v", requests.Load(), r.Requests, r)
	}
	if r.Connects != r.Requests-want || r.Reconnects != r.Connects-1 {
		t.Errorf("want a new connection after each failure: %v", r)
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

func TestRefusedIsCountedAndDialedAgain(t *testing.T) {
	t.Parallel()
	addr := proctest.FreeAddr(t)
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

func TestUntrustedIsNotConnected(t *testing.T) {
	t.Parallel()
	addr, _ := serveTLS(t, echo, false)
	r := runFor(t, Config{Addr: addr, TLS: &tls.Config{}, Clients: 1, Fresh: 1}, 2)
	wantFailures(t, r, NotConnected, "certificate")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	addr, _ := serveRaw(t, func(*net.TCPConn, string, string) { <-release })
	defer close(release)
	r := runFor(t, Config{Addr: addr, Timeout: 20 * time.Millisecond}, 2)
	wantFailures(t, r, TimedOut)
	if !errors.Is(r.Errors[0], os.ErrDeadlineExceeded) {
		t.Errorf("the first failure hides its cause: %#v", r.Errors[0])
	}
}

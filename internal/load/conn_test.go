package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The servers here do not wait for the body.
func TestAnswerInsteadOf100Continue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   Reason
		words  string
	}{
		{"200", func(w http.ResponseWriter, r *http.Request) { reply(w, r, "", nil) }, Early, "200 OK: it came instead of 100 Continue"},
		{"503", func(w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = "status=503"
			reply(w, r, "", nil)
		}, "status 503", "instead of 100 Continue"},
		{"both at once", hijacked("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Early, "after 100 Continue"},
		{"another interim answer", hijacked("HTTP/1.1 103 Early Hints\r\n\r\n"), "status 103", "instead of 100 Continue"},
		{"EOF", hijacked(""), NoAnswer, "wait for 100 Continue: EOF"},
		{"half of it", hijacked("HTTP/1.1 100 Con"), Truncated, "wait for 100 Continue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var pid string
			r := runFor(t, Config{Addr: serve(t, tt.answer), Expect: true, Observe: func(s Sample) { pid = s.Server.PID }}, 4)
			wantFailures(t, r, tt.want, tt.words)
			if r.Connects != r.Requests || r.Reconnects != r.Requests-1 {
				t.Error(r)
			}
			if named := pid == "7"; named != (tt.name == "200" || tt.name == "503") {
				t.Errorf("answered by %q", pid)
			}
		})
	}
}

// hijacked says the words to the client and closes the connection.
func hijacked(words string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, words)
		c.Close()
	}
}

// A server that does not want all of a big body answers and closes, and the
// client meets that in a write.
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

// piped is a client whose connection is a pipe. A read from the pipe's other
// end gets what the client wrote at once, and its time is a bubble's.
func piped(t *testing.T, cfg Config) (far net.Conn, sample chan Sample) {
	t.Helper()
	cfg = cfg.withDefaults()
	near, far := net.Pipe()
	c := newClient(&cfg, 0, newTally())
	c.conn = &conn{Conn: near, r: bufio.NewReader(near)}
	sample = make(chan Sample, 1)
	go func() {
		defer c.drop()
		sample <- c.once()
	}()
	return far, sample
}

func TestExpectWaitsForTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		far, sample := piped(t, Config{Expect: true})
		buf := make([]byte, 4096)
		n, _ := far.Read(buf)
		if head := string(buf[:n]); !strings.HasSuffix(head, "\r\nExpect: 100-continue\r\n\r\n") {
			t.Errorf("first write is %q", head)
		}
		far.SetReadDeadline(time.Now().Add(DefaultTimeout / 2))
		if n, err := far.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("before 100 Continue it wrote %q, %v", buf[:n], err)
		}
		far.SetReadDeadline(time.Time{})
		io.WriteString(far, "HTTP/1.1 100 Continue\r\n\r\n")
		n, _ = far.Read(buf)
		fmt.Fprintf(far, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, buf[:n])
		if s := <-sample; s.Err != nil || n != DefaultBodySize {
			t.Errorf("%d bytes of body: %v", n, s.Err)
		}
	})
}

func TestExpectTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		far, sample := piped(t, Config{Expect: true})
		far.Read(make([]byte, 4096))
		s := <-sample
		failure := (*RequestError)(nil)
		if !errors.As(s.Err, &failure) || failure.Reason != TimedOut || !strings.Contains(s.Err.Error(), "wait for 100 Continue") {
			t.Error(s.Err)
		}
		if s.Latency != DefaultTimeout {
			t.Errorf("timed out after %v", s.Latency)
		}
	})
}

func TestSlowUploadPausesBetweenPieces(t *testing.T) {
	t.Parallel()
	const pause = time.Second
	for _, chunked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			far, sample := piped(t, Config{BodyPause: pause, Chunked: chunked})
			begin, buf := time.Now(), make([]byte, 4096)
			var whole bytes.Buffer
			for k := range bodyPieces {
				n, _ := far.Read(buf)
				whole.Write(buf[:n])
				if at := time.Since(begin); at != time.Duration(k)*pause {
					t.Errorf("write %d came at %v", k+1, at)
				}
			}
			req, err := http.ReadRequest(bufio.NewReader(&whole))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(req.Body)
			fmt.Fprintf(far, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if s := <-sample; s.Err != nil || err != nil || s.Latency != (bodyPieces-1)*pause {
				t.Errorf("took %v: %v, %v", s.Latency, err, s.Err)
			}
		})
	}
}

func TestTimeoutEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		far, sample := piped(t, Config{BodyPause: time.Hour, Timeout: time.Minute})
		far.Read(make([]byte, 4096))
		s := <-sample
		failure := (*RequestError)(nil)
		if !errors.As(s.Err, &failure) || failure.Reason != TimedOut || s.Latency != time.Minute {
			t.Errorf("after %v: %v", s.Latency, s.Err)
		}
	})
}

// TestAny: with Any what the answer says does not matter, and whether it is whole does.
func TestAny(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer string
		want   Reason
	}{
		"page":      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", ""},
		"not found": {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ""},
		"error":     {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"},
		"cut":       {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", Truncated},
		"twice":     {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", Surplus},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runFor(t, Config{Addr: serve(t, hijacked(tt.answer)), Any: true, Method: http.MethodGet, Fresh: 1}, 4)
			if tt.want != "" {
				wantFailures(t, r, tt.want)
			} else if r.Failed > 0 {
				t.Error(r)
			}
		})
	}
}

// TestHeadPause: the server has half of a header for as long as that.
func TestHeadPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const pause = time.Second
		began := time.Now()
		far, sample := piped(t, Config{Any: true, Method: http.MethodGet, HeadPause: pause})
		if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil || time.Since(began) != pause {
			t.Errorf("the header came after %v: %v", time.Since(began), err)
		}
		io.WriteString(far, "HTTP/1.1 204 No Content\r\n\r\n")
		if s := <-sample; s.Err != nil || s.Local == nil {
			t.Errorf("%+v", s)
		}
	})
}

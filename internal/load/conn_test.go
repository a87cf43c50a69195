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
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble tests a client whose connection is a pipe. A read from the pipe's other end gets what the client wrote at
// once, and its time is the bubble's.
func inBubble(t *testing.T, cfg Config, test func(t *testing.T, far net.Conn, sample <-chan Sample)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := cfg.withDefaults()
		near, far := net.Pipe()
		c := newClient(&cfg, 0, newRun())
		c.conn = &conn{Conn: near, r: bufio.NewReader(near)}
		sample := make(chan Sample, 1)
		go func() {
			defer c.drop()
			sample <- c.once()
		}()
		test(t, far, sample)
	})
}

func TestExpectWaitsForTheServer(t *testing.T) {
	t.Parallel()
	inBubble(t, Config{Expect: true}, func(t *testing.T, far net.Conn, sample <-chan Sample) {
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

func TestTimeoutEndsWaiting(t *testing.T) {
	t.Parallel()
	for words, cfg := range map[string]Config{
		"wait for 100 Continue": {Expect: true},
		"write the request":     {BodyPause: time.Hour, Timeout: time.Minute},
	} {
		inBubble(t, cfg, func(t *testing.T, far net.Conn, sample <-chan Sample) {
			far.Read(make([]byte, 4096))
			s := <-sample
			failure := (*RequestError)(nil)
			if !errors.As(s.Err, &failure) || failure.Reason != TimedOut || !strings.Contains(s.Err.Error(), words) {
				t.Error(s.Err)
			}
			if s.Latency != cfg.withDefaults().Timeout {
				t.Errorf("timed out after %v", s.Latency)
			}
		})
	}
}

func TestSlowUploadPausesBetweenPieces(t *testing.T) {
	t.Parallel()
	const pause = time.Second
	for _, chunked := range []bool{false, true} {
		inBubble(t, Config{BodyPause: pause, Chunked: chunked}, func(t *testing.T, far net.Conn, sample <-chan Sample) {
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

// TestDial_LeavesNoDeadline: that of the handshake would end each request that is on the way when it comes.
func TestDial_LeavesNoDeadline(t *testing.T) {
	t.Parallel()
	addr, trust := serveTLS(t, echo, false)
	cfg := Config{Addr: addr, TLS: trust}.withDefaults()
	deadline := time.Now().Add(2 * time.Second)
	c, err := dial(&cfg, deadline)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	time.Sleep(time.Until(deadline))
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: server\r\n\r\n"); err != nil {
		t.Error(err)
	}
	if _, err := c.r.Peek(1); err != nil {
		t.Error(err)
	}
}

// The server has half of a header for as long as HeadPause.
func TestHeadPause(t *testing.T) {
	t.Parallel()
	const pause = time.Second
	cfg := Config{Any: true, Method: http.MethodGet, HeadPause: pause}
	inBubble(t, cfg, func(t *testing.T, far net.Conn, sample <-chan Sample) {
		began := time.Now()
		if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil || time.Since(began) != pause {
			t.Errorf("the header came after %v: %v", time.Since(began), err)
		}
		io.WriteString(far, "HTTP/1.1 204 No Content\r\n\r\n")
		if s := <-sample; s.Err != nil || s.Local == nil || s.Remote == nil {
			t.Errorf("%+v", s)
		}
	})
}

package load

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAsk_ReturnsTheWholeAnswer(t *testing.T) {
	t.Parallel()
	addr := serve(t, echo)
	for _, tt := range []struct {
		cfg  Config
		body string
		want Answer
	}{
		{Config{}, "hello", Answer{echoServer, 200, "hello"}},
		{Config{Method: http.MethodGet}, "", Answer{echoServer, 200, ""}},
		{Config{Path: "/?status=404"}, "hello", Answer{echoServer, 404, ""}},
	} {
		tt.cfg.Addr = addr
		if a, err := Ask(tt.cfg, tt.body); err != nil || a != tt.want {
			t.Errorf("%+v: %+v, %v; want %+v", tt.cfg, a, err, tt.want)
		}
	}
	if _, err := Ask(Config{Addr: "127.0.0.1:nonsense", Path: "/x"}, ""); err == nil {
		t.Error("an answer from nowhere")
	}
}

func TestAsk_WaitsForTheEndOfTheConnection(t *testing.T) {
	t.Parallel()
	waited := make(chan error, 1)
	addr, _ := serveRaw(t, func(c *net.TCPConn, _, _ string) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		waited <- err
	})
	if a, err := Ask(Config{Addr: addr}, ""); err != nil || a.Body != "ok" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := <-waited; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client has not waited: %v", err)
	}
}

func TestHold_ReturnsWhenTheHandlerReads(t *testing.T) {
	t.Parallel()
	read, answer := make(chan string, 1), make(chan struct{})
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		read <- string(body)
		<-answer
		_, _ = w.Write(body)
	}))
	wait, err := Hold(Config{Addr: addr}, "held")
	if err != nil {
		t.Fatal(err)
	}
	if body := <-read; body != "held" {
		t.Errorf("the handler has read %q", body)
	}
	close(answer)
	if a, err := wait(); err != nil || a.Body != "held" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestHold_FailsWithoutContinue(t *testing.T) {
	t.Parallel()
	addr := serve(t, http.NotFoundHandler())
	if _, err := Hold(Config{Addr: addr}, "held"); err == nil || !strings.Contains(err.Error(), "404 Not Found") {
		t.Error(err)
	}
}

func TestTransport_KeepsItsConnection(t *testing.T) {
	t.Parallel()
	for fresh, dials := range map[int]int{0: 1, 1: 3} {
		tr := NewTransport(Config{Addr: serve(t, echo), Fresh: fresh})
		c := &http.Client{Transport: tr}
		for range 3 {
			resp, err := c.Post("http://any/", "text/plain", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != "hello" {
				t.Errorf("%q, %v", body, err)
			}
			resp.Body.Close()
		}
		if n := tr.Dials(); n != dials {
			t.Errorf("Fresh %d: %d connections, want %d", fresh, n, dials)
		}
		c.CloseIdleConnections()
	}
}

func TestTransport_SendsOnce(t *testing.T) {
	t.Parallel()
	addr, requests := serveRaw(t, func(*net.TCPConn, string, string) {})
	c := &http.Client{Transport: NewTransport(Config{Addr: addr})}
	for n := range int64(2) {
		if resp, err := c.Get("http://any/"); err == nil {
			resp.Body.Close()
			t.Error("it was answered")
		}
		if got := requests.Load(); got != n+1 {
			t.Errorf("%d requests for %d", got, n+1)
		}
	}
}

func TestTransport_RefusesHTTP2(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		addr, trust := serveTLS(t, echo, http2)
		c := &http.Client{Transport: NewTransport(Config{Addr: addr, TLS: trust})}
		resp, err := c.Get("https://any/")
		if err == nil {
			resp.Body.Close()
		}
		if refused := err != nil && strings.Contains(err.Error(), "wants HTTP/2"); refused != http2 {
			t.Errorf("HTTP/2 %t: %v", http2, err)
		}
		c.CloseIdleConnections()
	}
}

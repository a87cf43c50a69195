//go:build unix

package core_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// hijack looks at what a handler gets, for requests of each kind.
func (p *contract) hijack() {
	p.srv.ErrorLog = log.New(io.Discard, "", 0) // it complains of the Write
	open := make(map[net.Conn]bool)
	p.srv.ConnState = func(c net.Conn, st http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		open[c] = st != http.StateClosed && st != http.StateHijacked
		if st == http.StateHijacked {
			p.notes = append(p.notes, fmt.Sprintf("hijacked: %T", c))
		}
	}
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keep" {
			return
		}
		nc, rw, err := w.(http.Hijacker).Hijack()
		must(p.t, err)
		defer nc.Close()
		p.mu.Lock()
		_, known := open[nc]
		p.mu.Unlock()
		_, _, again := http.NewResponseController(w).Hijack()
		_, writeErr := w.Write([]byte("x"))
		body, _ := io.ReadAll(r.Body)
		tc, tcp := nc.(*net.TCPConn)
		if tcp {
			must(p.t, tc.SetNoDelay(true))
			must(p.t, tc.SetLinger(-1))
		}
		// As the servers that wait for connections by epoll find the descriptor.
		s := reflect.Indirect(reflect.ValueOf(nc)).FieldByName("conn").FieldByName("fd").Elem().FieldByName("pfd").FieldByName("Sysfd").Int()
		p.note("known %v, TCP %v, descriptor %v, again %v, write %v, body %q", known, tcp, s > 2, again, writeErr, body)
		fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		must(p.t, rw.Flush())
	})
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n",
		"GET / HTTP/1.0\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n",
	} {
		c := p.dial()
		for range 2 { // on a connection that has carried others, too
			p.note("%s", p.send(c, "GET", "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n"))
		}
		p.note("%s", p.send(c, "GET", head+"\r\n"))
		p.ends(c)
	}
}

// hijackOwnContext: the requests have a context that is not the server's.
func (p *contract) hijackOwnContext() {
	p.srv.ConnContext = func(context.Context, net.Conn) context.Context { return context.Background() }
	p.hijack()
}

// hijackAhead: what the client sent behind its request is in the reader.
func (p *contract) hijackAhead() {
	p.begin(func(w http.ResponseWriter, _ *http.Request) {
		nc, rw, err := http.NewResponseController(w).Hijack()
		must(p.t, err)
		defer nc.Close()
		must(p.t, nc.SetDeadline(time.Now().Add(patience)))
		line, err := rw.ReadString('\n')
		p.note("ahead: %q %v", line, err)
		_, _ = io.WriteString(nc, "go on\n")
		rest, err := bufio.NewReader(rw).ReadString('\n')
		p.note("later: %q %v", rest, err)
	})
	c := p.dial()
	_, err := io.WriteString(c, contractGet+"one\n")
	must(p.t, err)
	line, err := c.Reader.ReadString('\n')
	p.note("client: %q %v", line, err)
	_, err = io.WriteString(c, "two\n")
	must(p.t, err)
	p.ends(c)
}

// TestHijack_EndsWithItsClose: nobody tells when the program closes the socket that it has got, and still a drain
// ends with it, and no sooner.
func TestHijack_EndsWithItsClose(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t, core.WithDrainTimeout(10*time.Minute))
	hijacked := make(chan net.Conn, 1)
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		must(t, err)
		hijacked <- c
	})})
	rawhttp.Dial(t, addr).Ask("/")
	c := <-hijacked
	core.ExpectOpen(t, u, core.Remaining{Hijacked: 1})
	stopped := beginStop(u)
	expectWaits(t, stopped)
	must(t, c.Close())
	must(t, <-stopped)
	expectEqual(t, "cut", u.Status().Ledger.Cut, core.Remaining{})
}

// TestHijack_HTTP2IsCountedAndNamed, as h2c.NewHandler takes it over.
func TestHijack_HTTP2IsCountedAndNamed(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		must(t, err)
		fmt.Fprintf(c, "%s", r.Method)
		must(t, c.Close())
	})})
	for range 2 {
		c := rawhttp.Dial(t, addr)
		_, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		must(t, err)
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		b, _ := io.ReadAll(c.Reader)
		expectEqual(t, "the handler gets", string(b), "PRI")
	}
	proctest.Await(t, "both are counted", func() bool { return u.Status().Ledger.HijackedHTTP2 == 2 })
}

//go:build unix

package core_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// contracts are the rows of docs/contracts.md: a program for each, which notes what it sees.
var contracts = map[string]func(p *contract){
	"BaseContext":                (*contract).baseContext,
	"ConnContext and ConnState":  (*contract).callbacks,
	"Hijack":                     (*contract).hijack,
	"Hijack, own context":        (*contract).hijackOwnContext,
	"Hijack, ahead":              (*contract).hijackAhead,
	"ResponseWriter":             (*contract).responseWriter,
	"ResponseController":         (*contract).responseController,
	"SetReadDeadline":            (*contract).readDeadline,
	"Deadline by ConnState":      (*contract).deadlineByCallback,
	"The client goes":            (*contract).clientGoes,
	"The client goes, TLS":       (*contract).clientGoesOverTLS,
	"Flush":                      (*contract).flush,
	"SetKeepAlivesEnabled":       (*contract).keepAlives,
	"SetKeepAlivesEnabled, idle": (*contract).keepAlivesIdle,
	"MaxBytesReader":             (*contract).maxBytesReader,
	"Handler panic, ErrorLog":    (*contract).panics,
	"ReadTimeout":                (*contract).readTimeout,
	"IdleTimeout":                (*contract).idleTimeout,
	"RegisterOnShutdown":         (*contract).onShutdown,
	"TLSNextProto":               (*contract).nextProto,
}

// TestContracts runs each program twice, with net/http alone and with core: it must see the same.
func TestContracts(t *testing.T) {
	t.Parallel()
	for name, run := range contracts {
		t.Run(name, func(t *testing.T) {
			var saw [2][]string
			for i, serve := range []func(*contract) func(){servePlain, serveWithCore} {
				t.Run([]string{"net/http", "core"}[i], func(t *testing.T) {
					p := &contract{t: t, srv: &http.Server{}, serve: serve}
					run(p)
					p.mu.Lock()
					defer p.mu.Unlock()
					saw[i] = p.notes
				})
			}
			if len(saw[0]) == 0 || !reflect.DeepEqual(saw[0], saw[1]) {
				t.Errorf("net/http:\n\t%s\ncore:\n\t%s", strings.Join(saw[0], "\n\t"), strings.Join(saw[1], "\n\t"))
			}
		})
	}
}

// contract is a program that serves once.
type contract struct {
	t     *testing.T
	srv   *http.Server
	serve func(*contract) (stop func())
	tls   bool
	pool  *x509.CertPool // of the server's certificate; nil: no TLS on a Dial

	ln   net.Listener // set by begin
	stop func()

	mu    sync.Mutex
	notes []string
}

func (p *contract) note(format string, v ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes = append(p.notes, fmt.Sprintf(format, v...))
}

// begin serves.
func (p *contract) begin(h http.HandlerFunc) {
	p.t.Helper()
	var err error
	p.ln, err = net.Listen("tcp", "127.0.0.1:0")
	must(p.t, err)
	p.srv.Handler = h
	p.stop = sync.OnceFunc(p.serve(p))
	p.t.Cleanup(p.stop)
}

func (p *contract) dial() *rawhttp.Client {
	p.t.Helper()
	if p.pool != nil {
		return rawhttp.DialTLS(p.t, p.ln.Addr().String(), &tls.Config{RootCAs: p.pool})
	}
	return rawhttp.Dial(p.t, p.ln.Addr().String())
}

// overTLS has the server speak TLS, whose connections move with core.
func (p *contract) overTLS() {
	p.t.Helper()
	certFile, keyFile, pool := rawhttp.Certificate(p.t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(p.t, err)
	p.tls, p.pool = true, pool
	p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
}

func servePlain(p *contract) func() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if p.tls {
			_ = p.srv.ServeTLS(p.ln, "", "")
		} else {
			_ = p.srv.Serve(p.ln)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = p.srv.Shutdown(ctx)
		_ = p.srv.Close()
		<-ended
	}
}

func serveWithCore(p *contract) func() {
	u := core.NewTest(p.t, core.WithDrainTimeout(time.Second), core.WithTLSHandoff(p.pool != nil))
	if p.tls {
		must(p.t, u.AttachTLS(p.srv, p.ln, "", ""))
	} else {
		must(p.t, u.Attach(p.srv, p.ln))
	}
	must(p.t, u.Ready())
	return func() { _ = u.Stop(context.Background()) }
}

// send sends wire and returns an answer: its status, what it says of the connection, and its body.
func (p *contract) send(c *rawhttp.Client, method, wire string) string {
	p.t.Helper()
	_, err := io.WriteString(c, wire)
	must(p.t, err)
	return p.answer(c, method)
}

func (p *contract) answer(c *rawhttp.Client, method string) string {
	p.t.Helper()
	must(p.t, c.SetReadDeadline(time.Now().Add(patience)))
	resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	must(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(p.t, err)
	return fmt.Sprintf("%d close=%v %q", resp.StatusCode, resp.Close, body)
}

const contractGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }

// ends notes that the server has closed the connection.
func (p *contract) ends(c *rawhttp.Client) {
	p.t.Helper()
	must(p.t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := c.Reader.ReadByte()
	p.note("the connection ends: %v", err)
}

func (p *contract) baseContext() {
	type key struct{}
	p.srv.BaseContext = func(ln net.Listener) context.Context {
		_, tcp := ln.(*net.TCPListener)
		p.note("BaseContext gets the program's: %v, a *net.TCPListener: %v", ln == p.ln, tcp)
		return context.WithValue(context.Background(), key{}, "base")
	}
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Context().Value(key{}), r.Context().Value(http.ServerContextKey) == p.srv,
			r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() == p.ln.Addr().String())
	})
	p.note("%s", p.send(p.dial(), "GET", contractGet))
}

// callbacks notes them in order. A map without a lock is filled by those that come one at a time.
func (p *contract) callbacks() {
	type key struct{}
	ids := make(map[net.Conn]int)
	id := func(c net.Conn) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return ids[c]
	}
	closed := make(chan struct{}, 2)
	p.srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		p.mu.Lock()
		ids[c] = len(ids) + 1
		p.mu.Unlock()
		p.note("ConnContext: %T %d", c, id(c))
		return context.WithValue(ctx, key{}, id(c))
	}
	p.srv.ConnState = func(c net.Conn, st http.ConnState) {
		p.note("ConnState: %T %d %v", c, id(c), st)
		if st == http.StateNew && id(c) == 2 {
			c.Close() // from the callback itself
		}
		if st == http.StateClosed {
			closed <- struct{}{}
		}
	}
	p.begin(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Context().Value(key{})) })
	c := p.dial()
	first := p.send(c, "GET", contractGet)
	second := p.send(c, "GET", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	<-closed
	c = p.dial()
	<-closed
	p.ends(c)
	p.note("%s, %s", first, second)
}

// responseWriter: the interfaces that programs look for, for each kind of request.
func (p *contract) responseWriter() {
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, pusher := w.(http.Pusher)
		_, from := w.(io.ReaderFrom)
		_, stringer := w.(io.StringWriter)
		_, notifier := w.(http.CloseNotifier) //nolint:staticcheck // programs look for it
		_, unwraps := w.(interface{ Unwrap() http.ResponseWriter })
		p.note("%s: %v %v %v %v %v %v %v", r.Method, flusher, hijacker, pusher, from, stringer, notifier, unwraps)
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		n, err := io.Copy(w, strings.NewReader("copied "))
		m, err2 := io.WriteString(w, "said")
		p.note("%d %v %d %v", n, err, m, err2)
	})
	c := p.dial()
	for _, wire := range []string{contractGet, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"} {
		hints, answer := p.send(c, "GET", wire), p.answer(c, "GET")
		p.note("%s, %s", hints, answer)
	}
}

func (p *contract) responseController() {
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		p.note("%v %v %v", rc.SetReadDeadline(time.Now().Add(time.Hour)), rc.SetWriteDeadline(time.Time{}), rc.EnableFullDuplex())
		fmt.Fprint(w, "ok")
		p.note("%v", rc.Flush())
		if r.URL.Path == "/expire" {
			p.note("%v", rc.SetWriteDeadline(time.Unix(1, 0)))
			fmt.Fprint(w, "late")
			p.note("flush fails: %v", rc.Flush() != nil)
		}
	})
	c := p.dial()
	p.note("%s", p.send(c, "GET", contractGet))
	_, err := io.WriteString(c, "GET /expire HTTP/1.1\r\nHost: a\r\n\r\n")
	must(p.t, err)
	_, err = io.Copy(io.Discard, c.Reader)
	p.note("%v", err)
}

// readDeadline: a handler ends the reading of a body, by a deadline in the past and from another goroutine, and goes on.
func (p *contract) readDeadline() {
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		read := func() {
			n, err := r.Body.Read(make([]byte, 1))
			p.note("%d, passed: %v", n, errors.Is(err, os.ErrDeadlineExceeded))
		}
		if r.ContentLength > 0 {
			read()
			p.note("%v", rc.SetReadDeadline(time.Unix(1, 0)))
			read()
			p.note("%v", rc.SetReadDeadline(time.Time{}))
			time.AfterFunc(50*time.Millisecond, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
			read()
		}
		ok(w, r)
	})
	c := p.dial()
	p.note("%s", p.send(c, "GET", contractGet)) // from here on it is known to speak HTTP/1
	p.note("%s", p.send(c, "POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"))
	p.ends(c)
}

// deadlineByCallback: net/http takes back what a ConnState sets on the socket when a request has come.
func (p *contract) deadlineByCallback() {
	const soon = 50 * time.Millisecond
	p.srv.ConnState = func(nc net.Conn, st http.ConnState) {
		if st == http.StateActive {
			_ = nc.SetReadDeadline(time.Now().Add(soon))
		}
	}
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * soon)
		p.note("%v", r.Context().Err())
		ok(w, r)
	})
	c := p.dial()
	for range 3 {
		p.note("%s", p.send(c, "GET", contractGet))
		time.Sleep(2 * soon)
	}
}

// clientGoes: the request's context ends with the connection, for the first request on it and for a later one.
func (p *contract) clientGoes() {
	gone := make(chan error, 1)
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/wait" {
			ok(w, r)
			return
		}
		select {
		case <-r.Context().Done():
			gone <- r.Context().Err()
		case <-time.After(patience):
			gone <- errors.New("the handler knows nothing of it")
		}
	})
	for before := range 3 {
		c := p.dial()
		for range before {
			p.note("%s", p.send(c, "GET", contractGet))
		}
		c.Ask("/wait")
		time.Sleep(20 * time.Millisecond) // in the handler, or before it
		must(p.t, c.Close())
		p.note("%v", <-gone)
	}
}

func (p *contract) clientGoesOverTLS() {
	p.overTLS()
	p.clientGoes()
}

// flush: the client has a part of the answer while the handler runs.
func (p *contract) flush() {
	got := make(chan struct{})
	p.begin(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "first\n")
		w.(http.Flusher).Flush()
		select {
		case <-got:
			fmt.Fprint(w, "second\n")
		case <-time.After(patience):
		}
	})
	c := p.dial()
	c.Ask("/")
	resp, err := http.ReadResponse(c.Reader, nil)
	must(p.t, err)
	defer resp.Body.Close()
	r := bufio.NewReader(resp.Body)
	line, err := r.ReadString('\n')
	p.note("%q %v", line, err)
	close(got)
	line, err = r.ReadString('\n')
	p.note("%q %v", line, err)
}

func (p *contract) keepAlives() {
	p.srv.SetKeepAlivesEnabled(false)
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/on":
			p.srv.SetKeepAlivesEnabled(true)
		case "/off":
			p.srv.SetKeepAlivesEnabled(false)
		case "/flush":
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "header: ", w.Header())
	})
	get := func(c *rawhttp.Client, path string) {
		p.note("%s: %s", path, p.send(c, "GET", "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"))
	}
	c := p.dial()
	get(c, "/")
	p.ends(c)
	c = p.dial()
	get(c, "/on")
	get(c, "/")
	get(c, "/off")
	p.ends(c)
	c = p.dial()
	get(c, "/")
	p.ends(c)
	for _, on := range []bool{true, false} { // and not by a handler
		c = p.dial()
		p.srv.SetKeepAlivesEnabled(on)
		get(c, "/flush")
	}
}

// keepAlivesIdle: those that are idle when it is switched off are closed.
func (p *contract) keepAlivesIdle() {
	idle := make(chan struct{}, 2)
	p.srv.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateIdle {
			idle <- struct{}{}
		}
	}
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/off" {
			p.srv.SetKeepAlivesEnabled(false)
		}
		ok(w, r)
	})
	kept := p.dial()
	p.note("%s", p.send(kept, "GET", contractGet))
	<-idle
	c := p.dial()
	p.note("%s", p.send(c, "GET", "GET /off HTTP/1.1\r\nHost: a\r\n\r\n"))
	p.ends(c)
	p.ends(kept)
}

// maxBytesReader asks net/http to close the connection, by a way that no other ResponseWriter has.
func (p *contract) maxBytesReader() {
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1))
		http.Error(w, fmt.Sprint(err), http.StatusRequestEntityTooLarge)
	})
	p.note("%s", p.send(p.dial(), "POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"))
	p.note("%s", p.send(p.dial(), "POST", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"))
}

func (p *contract) panics() {
	var lines bytes.Buffer
	p.srv.ErrorLog = log.New(&lines, "", 0)
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("on purpose")
		}
		w.WriteHeader(http.StatusNoContent)
		w.WriteHeader(http.StatusOK)
	})
	for _, path := range []string{"/abort", "/panic"} {
		c := p.dial()
		c.Ask(path)
		p.ends(c)
	}
	p.note("%s", p.send(p.dial(), "GET", contractGet))
	p.stop()
	for line := range strings.Lines(lines.String()) {
		if strings.HasPrefix(line, "http: panic serving") {
			p.note("%v", strings.HasSuffix(line, ": on purpose\n"))
		} else if strings.HasPrefix(line, "http: ") {
			p.note("%.40s", line)
		}
	}
}

// readTimeout: a head that is not complete in time gets no answer, a body an error.
func (p *contract) readTimeout() {
	p.srv.ReadTimeout = time.Second // in which the second head has to be there
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ne, isNet := err.(net.Error) //nolint:errorlint // as it comes
		p.note("body: %v", isNet && ne.Timeout())
		ok(w, r)
	})
	c := p.dial()
	_, err := io.WriteString(c, "GET / HT")
	must(p.t, err)
	p.ends(c)
	c = p.dial()
	p.note("%s", p.send(c, "POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"))
}

// idleTimeout and its like hold for each request of a connection anew.
func (p *contract) idleTimeout() {
	p.srv.IdleTimeout, p.srv.ReadHeaderTimeout = time.Second, time.Second
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(1200 * time.Millisecond)
		}
		p.note("%v", r.Context().Err())
		ok(w, r)
	})
	idle, slow := p.dial(), p.dial()
	for _, c := range []*rawhttp.Client{idle, slow, slow, idle} {
		p.note("%s", p.send(c, "GET", contractGet))
	}
	slow.Ask("/slow") // while the other one is idle
	p.note("%s", p.answer(slow, "GET"))
	_, err := io.WriteString(slow, "GET / HT")
	must(p.t, err)
	p.ends(slow)
	p.ends(idle)
}

// onShutdown: the hooks run once, while a request is served, and Shutdown returns after its answer.
func (p *contract) onShutdown() {
	hook, entered := make(chan struct{}), make(chan struct{})
	p.srv.RegisterOnShutdown(sync.OnceFunc(func() { p.note("hook"); close(hook) })) // again with each Shutdown
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-hook
		ok(w, r)
	})
	c := p.dial()
	c.Ask("/")
	<-entered
	ended := make(chan struct{})
	go func() { defer close(ended); p.note("Shutdown: %v", p.srv.Shutdown(context.Background())) }()
	resp, err := http.ReadResponse(c.Reader, nil)
	must(p.t, err)
	must(p.t, resp.Body.Close())
	<-ended
	p.note("%s", resp.Status)
}

// nextProto: a protocol of the program's own over TLS.
func (p *contract) nextProto() {
	certFile, keyFile, pool := rawhttp.Certificate(p.t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(p.t, err)
	p.tls = true
	p.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"own", "http/1.1"}}
	states := make(chan http.ConnState, 8)
	p.srv.ConnState = func(_ net.Conn, st http.ConnState) { states <- st }
	p.srv.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"own": func(_ *http.Server, c *tls.Conn, h http.Handler) {
			line, err := bufio.NewReader(c).ReadString('\n')
			p.note("own: %q %v, a handler: %v", line, err, h != nil)
			_, _ = io.WriteString(c, "bye\n")
		},
	}
	p.begin(func(w http.ResponseWriter, r *http.Request) {
		nc, _, err := http.NewResponseController(w).Hijack()
		_, isTLS := nc.(*tls.Conn)
		p.note("hijacked over TLS: %v %v %v", isTLS, err, r.TLS != nil)
		_ = nc.Close()
	})
	for _, proto := range []string{"own", "http/1.1"} {
		c, err := tls.Dial("tcp", p.ln.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", NextProtos: []string{proto}})
		must(p.t, err)
		_, err = io.WriteString(c, contractGet)
		must(p.t, err)
		b, _ := io.ReadAll(c)
		p.note("%s: %q", proto, b)
		must(p.t, c.Close())
		for st := range states {
			p.note("%v", st)
			if st == http.StateClosed || st == http.StateHijacked {
				break
			}
		}
	}
}

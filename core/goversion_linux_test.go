package core

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// What a Go release can change under core, beside http.Server's fields, for which there is
// TestNewInnerCopiesEverything. Each failure says what becomes of a server with that
// release, or what is to be done. "make tip" runs them with a Go that is named.

// relies fails with a fallback if Go does not do what core relies on.
func relies(t *testing.T, ok bool, format string, args ...any) {
	t.Helper()
	if !ok {
		t.Errorf(format, args...)
	}
}

func TestGo_ReadsHTTP1AsMovingNeeds(t *testing.T) {
	t.Parallel()
	err := conns.SelfTest()
	relies(t, err == nil, "%v: until boundary.go knows, selfTest fails with this release, connections stay, and "+
		"clients reconnect", err)
}

func TestGo_LeavesHTTP2AsGoAwayNeeds(t *testing.T) {
	t.Parallel()
	err := h2.Probe(h2.DoorClear)
	relies(t, err == nil, "%v: until core/internal/h2 knows, HTTP/2 is served in net/http's own way, and GOAWAY goes "+
		"out with answers only", err)
}

func TestGo_TakesHTTP2ConnectionsOver(t *testing.T) {
	t.Parallel()
	err := h2.ProbeMove()
	relies(t, err == nil, "%v: until core/internal/h2 knows, HTTP/2 connections stay, and their clients get GOAWAY in "+
		"two steps", err)
}

// TestGo_MarksServersThatSpeakHTTP2 by an entry of net/http's in TLSNextProto, which openHTTP2 looks for; others
// have none.
func TestGo_MarksServersThatSpeakHTTP2(t *testing.T) {
	t.Parallel()
	const fallback = "until openHTTP2 has another way to know, HTTP/2 is net/http's own: GOAWAY comes with answers only"
	certFile, keyFile, _ := rawhttp.Certificate(t)
	for name, tt := range map[string]struct {
		srv  *http.Server
		want bool
	}{
		"left out": {new(http.Server), true},
		"off":      {&http.Server{TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}, false},
	} {
		g := newGate(&net.TCPAddr{}, always, func() {})
		if err := tt.srv.ServeTLS(g, certFile, keyFile); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		fn := tt.srv.TLSNextProto["h2"]
		got := fn != nil && isNetHTTP(fn)
		relies(t, got == tt.want, "%s: TLSNextProto says %v, want %v: %s", name, got, tt.want, fallback)
	}
}

// orderListener notes what net/http does between two Accepts.
type orderListener struct {
	net.Listener
	note func(string)
}

func (l orderListener) Accept() (net.Conn, error) {
	l.note("accept")
	return l.Listener.Accept()
}

// TestGo_ListsMainsGoroutine as goroutine 1, behind the one that asks, however many there are.
func TestGo_ListsMainsGoroutine(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	for range 5000 {
		go func() { <-stop }()
	}
	if isMain() || !mainLives() {
		t.Errorf("this is main's goroutine: %v; it lives: %v", isMain(), mainLives())
	}
}

// TestGo_BeginsAConnectionBeforeTheNextAccept: it calls ConnContext, and then ConnState(StateNew).
func TestGo_BeginsAConnectionBeforeTheNextAccept(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	notes := make(chan string, 10)
	note := func(what string) { notes <- what }
	srv := &http.Server{Handler: http.NotFoundHandler(), ConnState: func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			note("new")
		}
	}}
	srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		note("context")
		return ctx
	}
	go func() { _ = srv.Serve(orderListener{ln, note}) }()
	defer srv.Close()
	for range 2 {
		c, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		defer c.Close()
	}
	var order string
	for range 7 {
		order += <-notes + " "
	}
	const want = "accept context new accept context new accept "
	relies(t, order == want, "net/http begins connections in the order %s, not %s: onConnContext must take a "+
		"connection in, and nobody may look for it before", order, want)
}

// TestGo_ShutdownWaitsForAccept after it has run the hooks and closed the listener.
func TestGo_ShutdownWaitsForAccept(t *testing.T) {
	t.Parallel()
	finished, closed, hook := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g := newGate(&net.TCPAddr{}, finished, func() { close(closed) })
	srv := &http.Server{Handler: http.NotFoundHandler()}
	srv.RegisterOnShutdown(func() { close(hook) })
	go func() { _ = srv.Serve(g) }()
	<-g.entered
	returned := make(chan error, 1)
	go func() { returned <- srv.Shutdown(t.Context()) }()
	<-closed
	<-hook
	select {
	case err := <-returned:
		t.Errorf("Shutdown returns (%v) while Accept has not: a program that ends after its own Shutdown would cut "+
			"the drain; gate must hold it up in another way", err)
	default:
		close(finished)
		must(t, <-returned)
	}
}

// TestGo_DeadlineEndsAWait of a Read and an Accept if it is in the past, and once it is lifted they go on where
// they were, over TLS in the middle of a record, too.
func TestGo_DeadlineEndsAWait(t *testing.T) {
	t.Parallel()
	const fallback = "moving (conn.wake), pausing (listener.pause) and a second GOAWAY (h2.Conn) end waits so"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	must(t, ln.(*net.TCPListener).SetDeadline(conns.LongAgo))
	_, err = ln.Accept()
	relies(t, errors.Is(err, os.ErrDeadlineExceeded), "Accept: %v: %s", err, fallback)
	must(t, ln.(*net.TCPListener).SetDeadline(conns.NoDeadline))
	client, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatalf("Accept after a pause: %v: %s", err, fallback)
	}
	defer server.Close()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	halves := &halvingConn{Conn: client}
	tc := tls.Client(halves, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
	ts := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}})
	shaken := make(chan error, 1)
	go func() { shaken <- tc.Handshake() }()
	must(t, ts.Handshake())
	must(t, <-shaken)
	halves.on = true
	_, err = io.WriteString(tc, "hello")
	must(t, err)
	must(t, ts.SetReadDeadline(time.Now().Add(10*time.Millisecond))) // whichever comes first, half a record or this
	b := make([]byte, 5)
	n, err := ts.Read(b)
	relies(t, n == 0 && errors.Is(err, os.ErrDeadlineExceeded), "a Read of half a record: %d, %v: %s", n, err, fallback)
	must(t, ts.SetReadDeadline(conns.NoDeadline))
	must(t, halves.rest())
	_, err = io.ReadFull(ts, b)
	relies(t, string(b) == "hello", "a Read of the rest of a record: %q, %v: %s", b, err, fallback)
}

// halvingConn keeps the second half of each Write for rest.
type halvingConn struct {
	net.Conn
	on   bool
	kept []byte
}

func (c *halvingConn) Write(b []byte) (int, error) {
	if !c.on {
		return c.Conn.Write(b)
	}
	c.kept = slices.Clone(b[len(b)/2:])
	_, err := c.Conn.Write(b[:len(b)/2])
	return len(b), err
}

func (c *halvingConn) rest() error {
	_, err := c.Conn.Write(c.kept)
	return err
}

// TestGo_AdoptedSocketKeepsItsOptions, and stays non-blocking, as does one whose descriptor is looked at for a
// start.
func TestGo_AdoptedSocketKeepsItsOptions(t *testing.T) {
	t.Parallel()
	const fallback = "net.FileConn has a new default, or SyscallConn a side effect: add the option to fd's options"
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	_, nc := pair(t)
	defer nc.Close()
	odd := map[[2]int]int{ // none is what Go sets
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE}: 0,
		{syscall.SOL_SOCKET, syscall.SO_OOBINLINE}: 1,
		{syscall.SOL_SOCKET, syscall.SO_PRIORITY}:  3,
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY}: 0, {syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}: 77,
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL}: 78, {syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT}: 7,
		{syscall.IPPROTO_TCP, syscall.TCP_SYNCNT}: 3, {syscall.IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */}: 1234,
		{syscall.IPPROTO_IP, syscall.IP_TTL}: 33,
	}
	copied := -1
	onDescriptor(t, nc, func(s int) {
		for o, v := range odd {
			must(t, syscall.SetsockoptInt(s, o[0], o[1], v))
		}
		copied, err = syscall.Dup(s)
		must(t, err)
		expectNonblocking(t, s, fallback)
	})
	adopted, err := fd.Adopt(copied)
	must(t, err)
	defer adopted.Close()
	onDescriptor(t, adopted, func(s int) {
		for o, want := range odd {
			got, err := syscall.GetsockoptInt(s, o[0], o[1])
			must(t, err)
			relies(t, got == want, "option %v of an adopted connection is %d, not %d: %s", o, got, want, fallback)
		}
		expectNonblocking(t, s, fallback)
	})
	onDescriptor(t, ln, func(s int) { expectNonblocking(t, s, fallback) })
}

func onDescriptor(t *testing.T, c any, f func(s int)) {
	t.Helper()
	rc, err := c.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, rc.Control(func(s uintptr) { f(int(s)) }))
}

func expectNonblocking(t *testing.T, s int, fallback string) {
	t.Helper()
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), syscall.F_GETFL, 0)
	relies(t, errno == 0 && flags&syscall.O_NONBLOCK != 0, "descriptor %d is blocking (%v): %s", s, errno, fallback)
}

// TestGo_EndOfAHandoverSocketIsEOF for errors.Is, in whatever it is wrapped.
func TestGo_EndOfAHandoverSocketIsEOF(t *testing.T) {
	t.Parallel()
	ours, theirs := controlPair(t)
	must(t, theirs.Close())
	_, err := fd.NewReceiver(ours.(*net.UnixConn)).Read(make([]byte, 1))
	relies(t, errors.Is(err, io.EOF), "%v (%T): a process that has ended would be taken for one that is broken; "+
		"fd.Receiver must turn it into io.EOF", err, err)
}

// TestGo_ProcessIsHeldByAPidfd: an os.Process is this very process, and not a later one with its number.
func TestGo_ProcessIsHeldByAPidfd(t *testing.T) {
	const fallback = "signals would go to a number alone: take a pidfd of our own (pidfd_open(2))"
	in, out, err := os.Pipe()
	must(t, err)
	defer in.Close()
	pid, err := syscall.ForkExec("/bin/cat", []string{"cat"}, &syscall.ProcAttr{Files: []uintptr{in.Fd(), 1, 2}})
	must(t, err)
	p, err := os.FindProcess(pid)
	must(t, err)
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	relies(t, slices.ContainsFunc(links, func(l string) bool {
		to, _ := os.Readlink(l)
		return strings.Contains(to, "pidfd")
	}), "os.FindProcess opens no pidfd: %s", fallback)
	must(t, p.Signal(syscall.Signal(0)))
	must(t, out.Close())
	other, err := os.FindProcess(pid)
	must(t, err)
	_, err = p.Wait()
	relies(t, err == nil, "Wait of a process that ForkExec has started: %v: %s", err, fallback)
	err = other.Signal(syscall.SIGTERM)
	relies(t, errors.Is(err, os.ErrProcessDone), "a signal to a process that is gone: %v: %s", err, fallback)
}

// TestGo_StartedProcessHasNoSignalBlocked by ForkExec, and ignores none of those that a server is to hear.
func TestGo_StartedProcessHasNoSignalBlocked(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	attr := &syscall.ProcAttr{Files: []uintptr{0, w.Fd(), 2}}
	pid, err := syscall.ForkExec("/bin/cat", []string{"cat", "/proc/self/status"}, attr)
	must(t, err)
	must(t, w.Close())
	b, err := io.ReadAll(r)
	must(t, err)
	_, err = syscall.Wait4(pid, nil, 0, nil)
	must(t, err)
	for line := range strings.Lines(string(b)) {
		name, mask, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		silent, ok := map[string]uint64{"SigBlk": math.MaxUint64, "SigIgn": 1 << (syscall.SIGUSR2 - 1)}[name]
		if !ok {
			continue
		}
		bits, err := strconv.ParseUint(mask, 16, 64)
		must(t, err)
		relies(t, bits&silent == 0, "a new process begins with %s %s: it would not hear SIGUSR2 or SIGTERM; "+
			"spawn.Start must clear the mask", name, mask)
	}
}

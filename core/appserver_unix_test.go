//go:build unix

package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
	"github.com/gracex-go/gracex/core/internal/conns"
)

// connInfo is what a server knows of the connection that a request came on.
type connInfo struct {
	Server  int    // which of the program's
	Remote  string // as the request says
	Context string // as ConnContext was told
	Local   string
	States  map[string]int // how often ConnState was told what, on all connections
}

// tlsInfo is what a server knows of the TLS that a request came by.
type tlsInfo struct {
	Generation     int
	Version, Suite uint16
	Protocol, Name string
	Resumed        bool
	Peers, Chains  int
}

func showTLS(r *http.Request) any {
	st := r.TLS
	if st == nil {
		return tlsInfo{}
	}
	return tlsInfo{
		core.Generation(), st.Version, st.CipherSuite, st.NegotiatedProtocol, st.ServerName, st.DidResume,
		len(st.PeerCertificates), len(st.VerifiedChains),
	}
}

// appServer is the n-th server, and may have hooks of its own. A file "down" makes it not ready, for the reason in it.
func appServer(u *core.Upgrader, n int, hooks bool) *http.Server {
	type key struct{}
	var mu sync.Mutex
	states := map[string]int{}
	mux := appHandler(u)
	mux.HandleFunc("/conn", shown(func(r *http.Request) any {
		mu.Lock()
		defer mu.Unlock()
		remote, _ := r.Context().Value(key{}).(string)
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		return connInfo{n, r.RemoteAddr, remote, local, maps.Clone(states)}
	}))
	down := func(context.Context) error {
		if b, err := os.ReadFile("down"); err == nil {
			return errors.New(string(b))
		}
		return nil
	}
	srv := &http.Server{Handler: core.Readiness(health.Config{Checks: []health.Check{{Name: "file", Run: down}}})(mux)}
	if hooks {
		srv.ConnState = func(_ net.Conn, st http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states[st.String()]++
		}
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, key{}, c.RemoteAddr().String())
		}
	}
	return srv
}

// shown answers with what f returns, as JSON.
func shown(f func(r *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(f(r)) }
}

// done answers with the error of an upgrade, or with nothing.
func done(f func(context.Context) (core.Result, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := f(r.Context()); err != nil {
			fmt.Fprint(w, err)
		}
	}
}

func appHandler(u *core.Upgrader) *http.ServeMux {
	core.OnHandoff("echo", func(c net.Conn, state []byte) {
		appEcho(c, string(state), core.Draining(context.Background()))
	})
	mux := http.NewServeMux()
	mux.HandleFunc("/", serveRequest)
	mux.HandleFunc("/stream", serveStream)
	mux.HandleFunc("/download", serveDownload)
	mux.HandleFunc("/copy", serveCopy)
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) { serveHijacked(u, w, r) })
	mux.HandleFunc("/tls", shown(showTLS))
	mux.HandleFunc("/stats", shown(func(*http.Request) any { return u.Status().Ledger }))
	mux.HandleFunc("/census", shown(func(*http.Request) any { return takeCensus() }))
	mux.HandleFunc("/footprint", shown(func(*http.Request) any { return takeFootprint() }))
	mux.HandleFunc("/surroundings", shown(func(*http.Request) any { return allSurroundings() }))
	mux.HandleFunc("/upgrade", done(u.Upgrade))
	mux.HandleFunc("/leave", done(u.Leave))
	mux.HandleFunc("/stop", func(http.ResponseWriter, *http.Request) { go func() { _ = u.Stop(context.Background()) }() })
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) { u.CloseListeners() })
	mux.HandleFunc("/hangup", func(http.ResponseWriter, *http.Request) { u.HangUp() })
	mux.HandleFunc("/break", func(http.ResponseWriter, *http.Request) { u.Break(errors.New("broken by the test")) })
	mux.HandleFunc("/reject", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, core.Reject(errors.New(r.FormValue("why"))))
	})
	mux.HandleFunc("/limit", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("free"))
		limit(n)
	})
	mux.HandleFunc("/child", func(w http.ResponseWriter, _ *http.Request) {
		out, err := exec.Command("/bin/sh", "-c", "env; ls -l /proc/self/fd").CombinedOutput()
		fmt.Fprintf(w, "%s%v", out, err)
	})
	return mux
}

// serveRequest answers with the body, at once or later.
func serveRequest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", strconv.Itoa(core.Generation()))
	w.Header().Set("X-Tag", r.Header.Get("X-Tag"))
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if d, _ := time.ParseDuration(r.FormValue("d")); d > 0 {
		emit(event{Event: "handling", Gen: core.Generation()})
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			emit(event{Event: "cancelled", Gen: core.Generation()})
		}
	}
	if name := r.FormValue("hold"); name != "" { // until there is a file of that name
		emit(event{Event: "handling", Gen: core.Generation()})
		for _, err := os.Stat(name); err != nil; _, err = os.Stat(name) {
			time.Sleep(time.Millisecond)
		}
	}
	if status, err := strconv.Atoi(r.FormValue("status")); err == nil {
		w.WriteHeader(status)
		return
	}
	_, _ = w.Write(body)
}

func serveStream(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "hello")
	_ = http.NewResponseController(w).Flush()
	<-core.Draining(r.Context())
	fmt.Fprintln(w, "goodbye")
}

func serveDownload(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	more := "more" + strings.Repeat(".", size)
	for {
		if _, err := fmt.Fprintln(w, more); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// serveCopy answers with the body, while that comes.
func serveCopy(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.EnableFullDuplex() // HTTP/2 needs no such thing
	b := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(b)
		if _, werr := w.Write(b[:n]); werr != nil || rc.Flush() != nil || err != nil {
			return
		}
	}
}

// serveHijacked takes the connection over until the drain begins. What the request says happens then.
func serveHijacked(u *core.Upgrader, w http.ResponseWriter, r *http.Request) {
	draining := core.Draining(r.Context())
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n")
	if name := r.FormValue("handoff"); name != "" {
		appEcho(c, name, draining)
		return
	}
	<-draining
	if r.FormValue("freeze") != "" {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
	if r.FormValue("close") != "" {
		u.CloseListeners()
	}
	fmt.Fprint(c, "goodbye\n")
	if r.FormValue("stay") != "" {
		_, _ = io.Copy(io.Discard, c) // until it is cut
	}
	_ = c.Close()
}

// appEcho echoes lines and moves with its connection, to the OnHandoff of that name.
func appEcho(c net.Conn, name string, draining <-chan struct{}) {
	defer c.Close()
	returns := make(chan struct{})
	defer close(returns)
	go func() {
		select {
		case <-draining:
			_ = c.SetReadDeadline(conns.LongAgo)
		case <-returns:
		}
	}()
	for {
		var b [1]byte
		_, err := c.Read(b[:])
		switch {
		case err == nil:
			if b[0] == '\n' {
				fmt.Fprintf(c, "generation %d\n", core.Generation())
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := core.Handoff(c, name, []byte(name)); err != nil {
				fmt.Fprintf(c, "%v\n", err)
			}
			return
		default:
			return
		}
	}
}

// census is what a process holds.
type census struct {
	Goroutines  int
	Descriptors []string
	Children    int // zombies included
}

func takeCensus() census {
	c := census{Goroutines: runtime.NumGoroutine()}
	ents, _ := os.ReadDir("/proc/self/fd")
	for _, e := range ents {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		target, _, _ = strings.Cut(target, ":[") // socket:[123]
		c.Descriptors = append(c.Descriptors, target)
	}
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		c.Children += len(strings.Fields(string(b)))
	}
	return c
}

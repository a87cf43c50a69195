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

// appServer is the n-th server, with hooks of its own.
func appServer(u *core.Upgrader, n int) *http.Server {
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
	return &http.Server{
		Handler: core.Readiness(core.ReadinessConfig{Checks: []core.Check{{Name: "file", Run: noneSaysDown}}})(mux),
		ConnState: func(_ net.Conn, st http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			states[st.String()]++
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, key{}, c.RemoteAddr().String())
		},
	}
}

// noneSaysDown is a check: a file "down" holds the error.
func noneSaysDown(context.Context) error {
	if b, err := os.ReadFile("down"); err == nil {
		return errors.New(string(b))
	}
	return nil
}

// shown answers with what f returns, as JSON.
func shown(f func(r *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _ = json.NewEncoder(w).Encode(f(r)) }
}

// said answers with the error of f, or with nothing.
func said(f func(r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(r); err != nil {
			fmt.Fprint(w, err)
		}
	}
}

func appHandler(u *core.Upgrader) *http.ServeMux {
	core.OnHandoff("echo", func(c net.Conn, state []byte) {
		appEcho(c, string(state), core.Draining(context.Background()))
	})
	mux := http.NewServeMux()
	for path, handler := range map[string]http.HandlerFunc{
		"/":             serveRequest,
		"/stream":       serveStream,
		"/download":     serveDownload,
		"/hijack":       func(w http.ResponseWriter, r *http.Request) { serveHijacked(u, w, r) },
		"/stats":        shown(func(*http.Request) any { return u.Stats() }),
		"/census":       shown(func(*http.Request) any { return takeCensus() }),
		"/surroundings": shown(func(*http.Request) any { return allSurroundings() }),
		"/upgrade": said(func(r *http.Request) error {
			_, err := u.Upgrade(r.Context())
			return err
		}),
		"/leave": said(func(r *http.Request) error {
			_, err := u.Leave(r.Context())
			return err
		}),
		"/stop":  func(http.ResponseWriter, *http.Request) { go func() { _ = u.Stop(context.Background()) }() },
		"/close": func(http.ResponseWriter, *http.Request) { u.CloseListeners() },
		"/reject": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, core.Reject(errors.New(r.FormValue("why"))))
		},
		"/hangup": func(http.ResponseWriter, *http.Request) { u.HangUp() },
		"/break":  func(http.ResponseWriter, *http.Request) { u.Break(errors.New("broken by the test")) },
		"/second": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, core.ListenAndServe("127.0.0.1:0", nil))
		},
		"/limit": func(_ http.ResponseWriter, r *http.Request) {
			if n, err := strconv.Atoi(r.FormValue("free")); err == nil {
				lowerLimit(n)
				return
			}
			var lim syscall.Rlimit
			_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim)
			lim.Cur = lim.Max
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
		},
		"/child": func(w http.ResponseWriter, _ *http.Request) {
			out, err := exec.Command("/bin/sh", "-c", "env; ls -l /proc/self/fd").CombinedOutput()
			fmt.Fprintf(w, "%s%v", out, err)
		},
	} {
		mux.HandleFunc(path, handler)
	}
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

func serveDownload(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := fmt.Fprintln(w, "more"); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
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

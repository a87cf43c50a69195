//go:build unix

package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

func init() { programs["app"] = playApp }

// listFlag is a flag that may be given more than once.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, " ") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

// playApp is an ordinary program on gracex. A file "mode" beside it makes the
// generation that finds it misbehave; a file "listen" replaces its addresses, a file
// "drain" its drain timeout, a file "probation" that of the process after it.
func playApp() {
	var listen listFlag
	flag.Var(&listen, "listen", "`network,address`, may be repeated")
	var packets listFlag
	flag.Var(&packets, "packet", "`network,address` of a datagram socket, may be repeated")
	drain := flag.Duration("drain", core.DefaultDrainTimeout, "")
	prestop := flag.Duration("prestop", 0, "")
	onProbation, _ := time.ParseDuration(os.Getenv("APP_PROBATION"))
	probation := flag.Duration("probation", onProbation, "how long the next process is on it")
	share := flag.Float64("share", core.DefaultProbationShare, "")
	draining := flag.Int("maxdraining", 0, "")
	ready := flag.Duration("ready", core.DefaultReadyTimeout, "")
	addr := flag.String("addr", "", "a TCP address, as testdata/plain has it")
	pidfile := flag.String("pidfile", "", "")
	ctl := flag.String("control", os.Getenv("APP_CONTROL"), "the control socket; empty: none; auto: left out")
	version := flag.String("version", "", "")
	descriptor := flag.Int("fd", 0, "serve on this descriptor")
	chdir := flag.String("chdir", "", "where to go once started, as daemons do")
	handoff := flag.Bool("handoff", true, "let connections move")
	wrap := flag.Bool("wrap", false, "hide the descriptors of connections")
	h2c := flag.Bool("h2c", false, "HTTP/2 without TLS, too")
	linger := flag.Bool("linger", false, "wait for SIGTERM in main, and serve in a goroutine")
	forget := flag.Bool("forget", false, "a ConnContext that drops what it is given")
	change := flag.Bool("change", false, "leave the surroundings that it was started in")
	graceful := flag.Bool("graceful", false, "must never arrive here")
	flag.Parse()
	if *change {
		changeSurroundings()
	}
	if *graceful {
		panic("the flag package saw -graceful")
	}
	if b, err := os.ReadFile("listen"); err == nil {
		listen = strings.Fields(string(b))
	}
	for file, d := range map[string]*time.Duration{"drain": drain, "probation": probation} {
		if b, err := os.ReadFile(file); err == nil {
			if *d, err = time.ParseDuration(string(b)); err != nil {
				panic(err)
			}
		}
	}
	if *addr != "" {
		listen = append(listen, "tcp,"+*addr)
	}
	if *descriptor != 0 {
		listen = append(listen, "fd,"+strconv.Itoa(*descriptor))
	}
	if len(listen) == 0 {
		listen = listFlag{"tcp,127.0.0.1:0"}
	}
	misbehave(mode())
	switch mode() {
	case "nohandoff":
		*handoff = false
	case "oldgo": // one whose net/http reads in another way
		conns.SelfTest = func() error { return errors.New("net/http has changed") }
	case "fewfiles":
		lowerLimit(core.MinReserve + 20)
	}
	dir, _ := os.Getwd()
	if *chdir != "" {
		if err := os.Chdir(*chdir); err != nil {
			panic(err)
		}
	}
	opts := []core.Option{
		core.WithConnectionHandoff(*handoff), core.WithDrainTimeout(*drain), core.WithReadyTimeout(*ready), core.WithPIDFile(*pidfile),
		core.WithVersion(*version), core.WithPreStopDelay(*prestop), core.WithProbation(*probation), core.WithProbationShare(*share), core.WithMaxDraining(*draining),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		core.OnPreFork(func(context.Context) error {
			if mode() == "veto" {
				return errors.New("not on a Friday")
			}
			return nil
		}),
		core.OnPostFork(func(_ context.Context, pid int) {
			emit(event{Event: "postfork", Err: strconv.Itoa(pid)})
			for mode() == "holdpost" {
				time.Sleep(time.Millisecond)
			}
		}),
		core.OnDrainTimeout(func(r core.Remaining) {
			emit(event{Event: "draintimeout", Err: r.String()})
			for mode() == "slowhook" {
				time.Sleep(time.Millisecond)
			}
		}),
		core.OnReopen(func() { emit(event{Event: "reopen"}) }),
		core.WithReadyCheck(func(ctx context.Context) error {
			switch m := mode(); m {
			case "check", "again":
				return errors.New("no database")
			case "wait", "chatter":
				emit(event{Event: "checking"})
				for mode() == m {
					time.Sleep(time.Millisecond)
				}
			case "waitfail":
				emit(event{Event: "checking"})
				for mode() == m {
					time.Sleep(time.Millisecond)
				}
				return errors.New("no database")
			case "slowcheck":
				emit(event{Event: "checking"})
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}),
	}
	if os.Getenv("APP_HOOKS") != "" {
		for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGWINCH} {
			opts = append(opts, core.OnSignal(sig, func() {
				emit(event{Event: "before", Err: sig.String(), Env: core.CurrentState().String()})
				if mode() == "panicking" {
					panic("a bug in a hook")
				}
				for mode() == "slow" {
					time.Sleep(time.Millisecond)
				}
			}, func() {
				if mode() == "lingering" {
					time.Sleep(100 * time.Millisecond)
				}
				emit(event{Event: "after", Err: sig.String(), Env: core.CurrentState().String()})
			}))
		}
	}
	if *ctl != "auto" {
		opts = append(opts, core.WithControlSocket(*ctl))
	}
	quit := make(chan os.Signal, 1)
	own := os.Getenv("APP_OWN") != "" // SIGTERM is handled, as in programs that know no gracex
	if own || *linger {
		signal.Notify(quit, syscall.SIGTERM)
	}
	var addrs []string
	err := core.Run(func(u *core.Upgrader) error {
		if own {
			go func() {
				<-quit
				_ = u.Stop(context.Background())
			}()
		}
		for i, l := range listen {
			network, address, _ := strings.Cut(l, ",")
			open := func() (net.Listener, error) { return u.Listen(context.Background(), network, address) }
			if network == "fd" {
				open = func() (net.Listener, error) { return u.ListenFD(*descriptor) }
			}
			ln, err := open()
			if err != nil {
				return err
			}
			addrs = append(addrs, ln.Addr().String())
			if *wrap {
				ln = core.Hiding{Listener: ln}
			}
			srv := appServer(u, i)
			if *h2c {
				srv.Protocols = new(http.Protocols)
				srv.Protocols.SetHTTP1(true)
				srv.Protocols.SetUnencryptedHTTP2(true)
			}
			if *forget {
				srv.ConnContext = func(context.Context, net.Conn) context.Context { return context.Background() }
			}
			if err := u.Attach(srv, ln); err != nil {
				return err
			}
		}
		for _, p := range packets {
			network, address, _ := strings.Cut(p, ",")
			pc, err := u.ListenPacket(context.Background(), network, address)
			if err != nil {
				return err
			}
			addrs = append(addrs, pc.LocalAddr().String())
			go answerPackets(pc)
		}
		if mode() == "dieadopting" {
			go dieAdopting(u)
		}
		go func() {
			if u.Ready() == nil {
				m := mode() // before the test knows that this one is ready, and sets it for the next
				emit(event{Event: "ready", Gen: core.Generation(), Addrs: addrs, Release: release(),
					Args: os.Args[1:], Env: os.Getenv("APP_COLOR") + os.Getenv(wire.EnvHandover), Dir: dir})
				switch m {
				case "crashlater":
					time.Sleep(time.Second)
					panic("a bug that shows late")
				case "rejects":
					_ = core.Reject(errors.New("at once"))
				}
			}
		}()
		return nil
	}, opts...)
	if mode() == "again" && core.Generation() > 0 {
		err = errors.Join(err, core.ListenAndServe("127.0.0.1:0", nil))
	}
	if *linger {
		emit(event{Event: "lingers", Gen: core.Generation()})
		<-quit
	}
	end := event{Event: "end", Gen: core.Generation()}
	if err != nil {
		end.Err = err.Error()
	}
	emit(end)
	if err != nil {
		os.Exit(1)
	}
}

func mode() string {
	b, _ := os.ReadFile("mode")
	return strings.TrimSpace(string(b))
}

// release is the name of the directory that the running program is in: its own,
// not what its command line says.
func release() string {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		path, err = filepath.EvalSymlinks(os.Args[0])
	}
	if err != nil {
		return err.Error()
	}
	return filepath.Base(filepath.Dir(path))
}

// misbehave does before ready what a broken new version does. It knows the inner
// parts, because the worst program is one that has said hello.
func misbehave(mode string) {
	switch mode {
	case "crash":
		panic("a bug")
	case "exit0":
		os.Exit(0)
	case "exit7":
		os.Exit(7)
	case "hang":
		select {}
	case "writes", "flood", "halfflood", "chatter", "huge", "grandchild", "sidecar":
		misbehaveOnStderr(mode)
	case "deaf": // hangs, and SIGTERM does not end it
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
		select {}
	case "close-control":
		_ = syscall.Close(core.HandoverSocket())
		select {}
	case "garbage":
		_, _ = syscall.Write(core.HandoverSocket(), []byte("GET / HTTP/1.1\r\n\r\n"))
		select {}
	}
}

// lowerLimit leaves room for n more descriptors.
func lowerLimit(n int) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		panic(err)
	}
	for free, _, _ := fd.Free(); free > n; free-- {
		lim.Cur-- // whose type is not the same on all systems
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		panic(err)
	}
}

// dieAdopting kills this process while it takes connections over.
func dieAdopting(u *core.Upgrader) {
	for u.Stats().Adopted < fd.MaxFiles+50 {
		runtime.Gosched()
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

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
	mux.HandleFunc("/conn", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		remote, _ := r.Context().Value(key{}).(string)
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		_ = json.NewEncoder(w).Encode(connInfo{Server: n, Remote: r.RemoteAddr, Context: remote, Local: local, States: states})
	})
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

func appHandler(u *core.Upgrader) *http.ServeMux {
	core.OnHandoff("echo", func(c net.Conn, state []byte) { appEcho(c, string(state), core.Draining(context.Background())) })
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
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
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		if _, err := u.Upgrade(r.Context()); err != nil {
			fmt.Fprint(w, err)
		}
	})
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		if _, err := u.Leave(r.Context()); err != nil {
			fmt.Fprint(w, err)
		}
	})
	mux.HandleFunc("/stop", func(http.ResponseWriter, *http.Request) { go func() { _ = u.Stop(context.Background()) }() })
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) {
		u.CloseListeners()
	})
	mux.HandleFunc("/reject", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, core.Reject(errors.New(r.FormValue("why"))))
	})
	mux.HandleFunc("/hangup", func(http.ResponseWriter, *http.Request) { u.HangUp() })
	mux.HandleFunc("/break", func(http.ResponseWriter, *http.Request) {
		u.Break(errors.New("broken by the test"))
	})
	mux.HandleFunc("/census", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(takeCensus())
	})
	mux.HandleFunc("/surroundings", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(allSurroundings())
	})
	mux.HandleFunc("/second", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, core.ListenAndServe("127.0.0.1:0", nil))
	})
	mux.HandleFunc("/limit", func(w http.ResponseWriter, r *http.Request) {
		var lim syscall.Rlimit
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim)
		if n, err := strconv.Atoi(r.FormValue("free")); err == nil {
			lowerLimit(n)
		} else {
			lim.Cur = lim.Max
			_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim)
		}
	})
	mux.HandleFunc("/child", func(w http.ResponseWriter, _ *http.Request) {
		out, err := exec.Command("/bin/sh", "-c", "env; ls -l /proc/self/fd").CombinedOutput()
		fmt.Fprintf(w, "%s%v", out, err)
	})
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(u.Stats())
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
		_ = http.NewResponseController(w).Flush()
		<-core.Draining(r.Context())
		fmt.Fprintln(w, "goodbye")
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := fmt.Fprintln(w, "more"); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
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
	})
	return mux
}

// noneSaysDown is a check: a file "down" holds the error.
func noneSaysDown(context.Context) error {
	if b, err := os.ReadFile("down"); err == nil {
		return errors.New(string(b))
	}
	return nil
}

// appEcho echoes lines and moves with its connection, to the OnHandoff of that name.
func appEcho(c net.Conn, name string, draining <-chan struct{}) {
	defer c.Close()
	stop := context.AfterFunc(contextOf(draining), func() { _ = c.SetReadDeadline(conns.LongAgo) })
	defer stop()
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

// contextOf ends when the channel is closed.
func contextOf(ch <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-ch
		cancel()
	}()
	return ctx
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

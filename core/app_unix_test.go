//go:build unix

package core

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
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() { programs["app"] = playApp }

// listFlag is a flag that may be given more than once.
type listFlag []string

func (l *listFlag) String() string     { return strings.Join(*l, " ") }
func (l *listFlag) Set(s string) error { *l = append(*l, s); return nil }

// playApp is an ordinary program on gracex. A file "mode" beside it makes the
// generation that finds it misbehave; a file "listen" replaces its addresses.
func playApp() {
	var listen listFlag
	flag.Var(&listen, "listen", "`network,address`, may be repeated")
	drain := flag.Duration("drain", DefaultDrainTimeout, "")
	ready := flag.Duration("ready", DefaultReadyTimeout, "")
	addr := flag.String("addr", "", "a TCP address, as testdata/plain has it")
	pidfile := flag.String("pidfile", "", "")
	descriptor := flag.Int("fd", 0, "serve on this descriptor")
	chdir := flag.String("chdir", "", "where to go once started, as daemons do")
	handoff := flag.Bool("handoff", true, "let connections move")
	graceful := flag.Bool("graceful", false, "must never arrive here")
	flag.Parse()
	if *graceful {
		panic("the flag package saw -graceful")
	}
	if b, err := os.ReadFile("listen"); err == nil {
		listen = strings.Fields(string(b))
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
	dir, _ := os.Getwd()
	if *chdir != "" {
		if err := os.Chdir(*chdir); err != nil {
			panic(err)
		}
	}
	opts := []Option{
		WithConnectionHandoff(*handoff), WithDrainTimeout(*drain), WithReadyTimeout(*ready), WithPIDFile(*pidfile),
		WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		OnPreFork(func(context.Context) error {
			if mode() == "veto" {
				return errors.New("not on a Friday")
			}
			return nil
		}),
		OnPostFork(func(_ context.Context, pid int) { emit(event{Event: "postfork", Err: strconv.Itoa(pid)}) }),
		OnDrainTimeout(func(r Remaining) { emit(event{Event: "draintimeout", Err: r.String()}) }),
		OnReopen(func() { emit(event{Event: "reopen"}) }),
		WithReadyCheck(func(ctx context.Context) error {
			switch mode() {
			case "check":
				return errors.New("no database")
			case "wait":
				emit(event{Event: "checking"})
				for mode() == "wait" {
					time.Sleep(time.Millisecond)
				}
			case "slowcheck":
				emit(event{Event: "checking"})
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}),
	}
	var addrs []string
	err := Run(func(u *Upgrader) error {
		for _, l := range listen {
			network, address, _ := strings.Cut(l, ",")
			open := func() (net.Listener, error) { return u.Listen(context.Background(), network, address) }
			if network == networkFD {
				open = func() (net.Listener, error) { return u.ListenFD(*descriptor) }
			}
			ln, err := open()
			if err != nil {
				return err
			}
			addrs = append(addrs, ln.Addr().String())
			if err := u.Attach(&http.Server{Handler: appHandler(u)}, ln); err != nil {
				return err
			}
		}
		go func() {
			if u.Ready() == nil {
				emit(event{Event: "ready", Gen: Generation(), Addrs: addrs, Release: release(),
					Args: os.Args[1:], Env: os.Getenv("APP_COLOR") + os.Getenv(EnvControl), Dir: dir})
			}
		}()
		return nil
	}, opts...)
	end := event{Event: "end", Gen: Generation()}
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
	case "deaf": // hangs, and SIGTERM does not end it
		sigs := Signals{Upgrade: []os.Signal{syscall.SIGTERM}}
		_, _ = sigs.notify()
		select {}
	case "close-control":
		_ = syscall.Close(boot.control)
		select {}
	case "garbage":
		_, _ = syscall.Write(boot.control, []byte("GET / HTTP/1.1\r\n\r\n"))
		select {}
	}
}

func appHandler(u *Upgrader) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
		w.Header().Set("X-Generation", strconv.Itoa(Generation()))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if d, _ := time.ParseDuration(r.FormValue("d")); d > 0 {
			emit(event{Event: "handling", Gen: Generation()})
			select {
			case <-time.After(d):
			case <-r.Context().Done():
				emit(event{Event: "cancelled", Gen: Generation()})
			}
		}
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, r *http.Request) {
		if _, err := u.Upgrade(r.Context()); err != nil {
			fmt.Fprint(w, err)
		}
	})
	mux.HandleFunc("/census", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(takeCensus())
	})
	mux.HandleFunc("/second", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, ListenAndServe("127.0.0.1:0", nil))
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
		<-Draining(r.Context())
		fmt.Fprintln(w, "goodbye")
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		draining := Draining(r.Context())
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n")
		<-draining
		fmt.Fprint(c, "goodbye\n")
		if r.FormValue("stay") != "" {
			_, _ = io.Copy(io.Discard, c) // until it is cut
		}
		_ = c.Close()
	})
	return mux
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

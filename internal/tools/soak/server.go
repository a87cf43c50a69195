package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core"
)

// What the server has in its directory, and where it listens. The two TCP
// addresses differ because the next generation finds a listener by these words.
const (
	pidFileName = "pid"
	certName    = "cert.pem"
	keyName     = "key.pem"
	socketName  = "sock"

	plainAddress = "127.0.0.1:0"
	tlsAddress   = "localhost:0"
)

// What the server logs beside what core does.
const (
	msgOnPurpose = "this upgrade fails on purpose"
	msgStays     = "a hijacked connection has not moved"
)

// drainTimeout is far longer than anything that a client asks for.
const drainTimeout = 30 * time.Second

// probation is short, so that most upgrades are not asked for during one.
const probation = 50 * time.Millisecond

var errOnPurpose = errors.New("on purpose")

// server is one generation.
type server struct {
	*faults
	plan plan
	log  *slog.Logger
	how  string // this generation fails; empty if it does not
}

// serve is the server's main. It is at home in its directory.
func serve(o options) error {
	go endWithStdin()
	handler := slog.NewJSONHandler(os.Stderr, nil)
	s := &server{faults: newFaults(o.broken), plan: newPlan(o.serve), log: slog.New(handler).With("pid", os.Getpid())}
	if s.how = s.plan.take(false); s.how != "" {
		s.log.Info(msgOnPurpose, "how", s.how)
	}
	switch s.how {
	case failExit:
		os.Exit(7)
	case failHang:
		select {}
	}
	err := core.Run(func(u *core.Upgrader) error { return s.setUp(u, handler) },
		core.WithLogger(slog.New(handler)), core.WithPIDFile(pidFileName),
		core.WithReadyTimeout(o.ready), core.WithDrainTimeout(drainTimeout), core.WithProbation(probation), core.WithMaxDraining(0),
		core.WithConnectionHandoff(!s.has("reconnect")),
		core.OnPreFork(s.preFork), core.WithReadyCheck(s.readyCheck))
	if err != nil && s.how == "" {
		s.log.Error("the server has failed", "error", err)
	}
	return err
}

func (s *server) setUp(u *core.Upgrader, handler slog.Handler) error {
	if s.has("log") {
		s.log.Error("a fault that was asked for")
	}
	core.OnHandoff(echoName, s.adoptEcho)
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.answer)
	mux.HandleFunc("/echo", s.hijack)
	mux.HandleFunc("/census", takeCensus)
	for _, at := range []struct {
		network, address string
		attach           func(*http.Server, net.Listener) error
	}{
		{"tcp", plainAddress, u.Attach},
		{"tcp", tlsAddress, func(srv *http.Server, ln net.Listener) error { return u.AttachTLS(srv, ln, certName, keyName) }},
		{"unix", socketName, u.Attach},
	} {
		ln, err := u.Listen(context.Background(), at.network, at.address)
		if err != nil {
			return err
		}
		srv := &http.Server{
			Handler: mux, ErrorLog: slog.NewLogLogger(handler, slog.LevelWarn),
			ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		}
		if err := at.attach(srv, ln); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) preFork(context.Context) error {
	if how := s.plan.take(true); how != "" {
		s.log.Info(msgOnPurpose, "how", how)
		return errOnPurpose
	}
	return nil
}

func (s *server) readyCheck(ctx context.Context) error {
	switch s.how {
	case failRefuse:
		return errOnPurpose
	case failStall:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// answer does what package load asks of a handler, and takes the time that the
// query's d asks for.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	if s.request() {
		body = append(body, "?"...)
	}
	h := w.Header()
	h.Set("X-Pid", strconv.Itoa(os.Getpid()))
	h.Set("X-Generation", strconv.Itoa(core.Generation()))
	if tag := r.Header.Get("X-Tag"); tag != "" {
		h.Set("X-Tag", tag)
	}
	if r.URL.RawQuery != "" {
		if d, err := time.ParseDuration(r.FormValue("d")); err == nil {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
				return
			}
		}
		if status, err := strconv.Atoi(r.FormValue("status")); err == nil {
			w.WriteHeader(status)
			return
		}
	}
	_, _ = w.Write(body)
}

// endWithStdin ends a process whose soak is gone: that has the other end.
func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(3)
}

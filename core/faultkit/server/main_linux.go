// Command server is what the fault kit upgrades when it is given no program: a server
// that echoes, and that can be broken, and that fails upgrades on purpose.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/core/wsmove"
	"github.com/gracex-go/gracex/internal/load"
)

// The times when one fault is tried are shorter than it lasts, so that each limit of the
// handover is met, and long enough for a machine that is busy with other tests.
const (
	readyTimeout = 6 * time.Second
	drainTimeout = 10 * time.Second
	probation    = 1500 * time.Millisecond
)

// share is as much of the connections as it takes that one over TLS is nearly always among those that move in a probation.
const share = 0.3

// In a soak the drain has far more time than anything that a client asks for, and the
// probation is short, so that most upgrades are not asked for during one.
const (
	soakDrain     = 30 * time.Second
	soakProbation = 50 * time.Millisecond
)

var errOnPurpose = errors.New(own.OnPurpose)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	pidFile := flag.String("pidfile", own.PIDFile, "the pid file")
	soak := flag.String("soak", "", "be the server of a soak, with this `directory`, which is the current one")
	storm := flag.String("storm", "", "be the server of a storm, with this `directory`")
	test := flag.Duration("probation", probation, "how long the probation takes")
	ready := flag.Duration("ready", readyTimeout, "how long a new process may take to become ready")
	breaks := flag.String("break", "", "how to be broken, with commas")
	flag.Parse()
	handler := slog.NewJSONHandler(os.Stderr, nil)
	s := &server{broken: broken{names: strings.Split(*breaks, ",")}, log: slog.New(handler).With("own_pid", os.Getpid())}
	opts := []core.Option{core.WithLogger(slog.New(handler)), core.WithPIDFile(*pidFile), core.WithReadyTimeout(*ready)}
	var err error
	switch {
	case *soak != "":
		s.plan = own.NewPlan(*soak)
		err = s.soak(opts)
	case *storm != "":
		err = s.storm(*storm, *addr, append(opts, core.WithProbation(*test)))
	default:
		err = s.serve(*addr, append(opts, core.WithDrainTimeout(drainTimeout), core.WithProbation(*test)))
	}
	if err != nil {
		if s.how == "" {
			s.log.Error("the server has failed", "error", err)
		}
		os.Exit(1)
	}
}

// server is one generation.
type server struct {
	broken
	plan own.Plan
	log  *slog.Logger
	how  string   // this generation fails; empty if it does not
	runs *os.File // where each run of the handler is noted; nil for nowhere
}

// serve serves HTTP/1, HTTP/2 and WebSockets, in the clear and over TLS, and has keys of session tickets.
func (s *server) serve(addr string, opts []core.Option) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.answer)
	mux.HandleFunc(own.WebSocket, s.echoMessages)
	srv := &http.Server{
		Addr: addr, Handler: wsmove.Handler("kit", mux, wsmove.WithLogger(s.log)), Protocols: new(http.Protocols),
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	secure := &http.Server{
		Addr: net.JoinHostPort(own.SecureHost, port), Handler: srv.Handler, ErrorLog: srv.ErrorLog, TLSConfig: certified(),
	}
	return core.Serve(srv, append(opts, core.WithReadyCheck(makeTicketKey),
		core.WithTLSHandoff(true), core.WithProbationShare(share), core.AlsoServeServer(secure))...)
}

// certified is a config with a certificate for tests.
func certified() *tls.Config {
	from := httptest.NewTLSServer(nil)
	defer from.Close()
	return &tls.Config{Certificates: from.TLS.Certificates}
}

// makeTicketKey makes the service's first key of session tickets, as the first handshake would. Upgrades hand it on.
func makeTicketKey(context.Context) error {
	_, err := core.TicketKeys("kit", nil).WrapSession(tls.ConnectionState{}, new(tls.SessionState))
	return err
}

// storm serves, and notes the tag of each request that the handler runs for.
func (s *server) storm(dir, addr string, opts []core.Option) (err error) {
	s.runs, err = os.OpenFile(filepath.Join(dir, own.Runs), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return core.ListenAndServe(addr, http.HandlerFunc(s.answer), append(opts,
		core.WithDrainTimeout(soakDrain), core.WithMaxDraining(0),
		core.WithControlSocket(filepath.Join(dir, own.Control)))...)
}

// soak serves in every way that the clients of a soak ask.
func (s *server) soak(opts []core.Option) error {
	go endWithStdin()
	if s.how = s.plan.Take(false); s.how != "" {
		s.log.Info(own.MsgOnPurpose, "how", s.how)
	}
	switch s.how {
	case own.FailExit:
		os.Exit(7)
	case own.FailHang:
		select {}
	}
	return core.Run(s.setUp, append(opts,
		core.WithDrainTimeout(soakDrain), core.WithProbation(soakProbation), core.WithMaxDraining(0),
		core.WithConnectionHandoff(!s.has("reconnect")),
		core.OnPreFork(s.preFork), core.WithReadyCheck(s.readyCheck), core.OnReopen(s.takeCensus))...)
}

func (s *server) setUp(u *core.Upgrader) error {
	if s.has("log") {
		s.log.Error("a fault that was asked for")
	}
	core.OnHandoff(echoName, s.echo)
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.answer)
	mux.HandleFunc("/echo", s.hijack)
	// The two addresses of TCP differ because the next generation finds a listener by these words.
	for _, at := range []struct {
		network, address string
		attach           func(*http.Server, net.Listener) error
	}{
		{"tcp", "127.0.0.1:0", u.Attach},
		{"tcp", "localhost:0", func(srv *http.Server, ln net.Listener) error {
			srv.TLSConfig = certified()
			return u.AttachTLS(srv, ln, "", "")
		}},
		{"unix", own.Socket, u.Attach},
	} {
		ln, err := u.Listen(context.Background(), at.network, at.address)
		if err != nil {
			return err
		}
		srv := &http.Server{
			Handler: mux, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
			ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		}
		if err := at.attach(srv, ln); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) preFork(context.Context) error {
	if how := s.plan.Take(true); how != "" {
		s.log.Info(own.MsgOnPurpose, "how", how)
		return errOnPurpose
	}
	return nil
}

func (s *server) readyCheck(ctx context.Context) error {
	switch s.how {
	case own.FailRefuse:
		return errOnPurpose
	case own.FailStall:
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// answer does what package internal/load asks of a handler, and takes the time that the query's d asks for.
func (s *server) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	if tag := load.TagOf(r, body); s.runs != nil && tag != "" {
		// One write for each line: the file is every generation's (open(2), O_APPEND).
		fmt.Fprintf(s.runs, "%d %s\n", os.Getpid(), tag)
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
		d, _ := time.ParseDuration(cmp.Or(r.FormValue("d"), "0"))
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
		if status, err := strconv.Atoi(r.FormValue("status")); err == nil {
			w.WriteHeader(status)
			return
		}
	}
	_, _ = w.Write(body)
}

// endWithStdin ends a process whose kit is gone: that has the other end.
func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(3)
}

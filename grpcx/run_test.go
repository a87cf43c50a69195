package grpcx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/grpcx"
	"github.com/gracex-go/gracex/internal/must"
)

// The tests are not parallel: a process has one Upgrader. Upgrades are tested in examples/grpc.

// What can't be served is an error that names it, and never nil.
func TestErrors(t *testing.T) {
	stopped := grpc.NewServer()
	stopped.Stop()
	broken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	broken.Close()
	dir := t.TempDir()
	for _, tt := range []struct {
		err  error
		text string
		is   error
	}{
		{grpcx.Serve(grpc.NewServer(), "127.0.0.1:nonsense"), "gracex: listen tcp 127.0.0.1:nonsense: ", nil},
		{grpcx.Serve(stopped, "127.0.0.1:0"), "gracex: serve 127.0.0.1:", grpc.ErrServerStopped},
		{grpcx.ServeUnix(grpc.NewServer(), ""), "gracex: listen unix : a unix socket needs a path", nil},
		{grpcx.ServeUnix(grpc.NewServer(), filepath.Join(dir, "none", "sock")), "none/sock: ", nil},
		{grpcx.ServeListener(grpc.NewServer(), broken), broken.Addr().String(), net.ErrClosed},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.text) || !strings.HasPrefix(tt.err.Error(), "gracex: ") {
			t.Errorf("error %v, want gracex: ...%s...", tt.err, tt.text)
		}
		if tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("error %v is not %v", tt.err, tt.is)
		}
	}
}

// check asks for the health of the server on ln, over a connection of its own.
func check(t *testing.T, addr net.Addr) error {
	t.Helper()
	c := must.Get(grpc.NewClient("passthrough:///"+addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry()))(t)
	defer c.Close()
	_, err := grpc_health_v1.NewHealthClient(c).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	return err
}

// A listener is closed when it could not be served, but not by a second server in
// the process: it may be the first one's.
func TestListenerAfterAnError(t *testing.T) {
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	fails := core.WithReadyCheck(func(context.Context) error { return errors.New("no database") })
	if err := grpcx.ServeListener(grpc.NewServer(), ln, fails); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("served: %v", err)
	}
	if err := ln.(*net.TCPListener).SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}

	u := must.Get(core.New(core.WithSignals(core.Signals{})))(t)
	ln = must.Get(u.Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	srv := grpc.NewServer()
	grpcx.Readiness(srv)
	must.Do(t, grpcx.Attach(u, srv, ln))
	must.Do(t, u.Ready())
	if err := grpcx.ServeListener(grpc.NewServer(), ln); !errors.Is(err, core.ErrRunning) {
		t.Errorf("a second server gets %v", err)
	}
	if err := check(t, ln.Addr()); err != nil {
		t.Errorf("the first server does not serve any more: %v", err)
	}
	must.Do(t, u.Stop(t.Context()))
}

// The program's own stop of its server stops the process. A stream of another server, which grpcx does not serve, is left
// alone after that.
func TestOwnStop(t *testing.T) {
	for name, stop := range map[string]func(*grpc.Server){"GracefulStop": (*grpc.Server).GracefulStop, "Stop": (*grpc.Server).Stop} {
		srv := grpc.NewServer()
		ready := make(chan struct{})
		result := make(chan error)
		go func() {
			result <- grpcx.Serve(srv, "127.0.0.1:0", core.WithReadyCheck(func(context.Context) error { close(ready); return nil }))
		}()
		<-ready
		stop(srv)
		if err := <-result; err != nil {
			t.Errorf("after %s Serve returns %v", name, err)
		}
		want := errors.New("the handler's own")
		if err := grpcx.StreamInterceptor(nil, nil, nil, func(any, grpc.ServerStream) error { return want }); !errors.Is(err, want) {
			t.Error(err)
		}
	}
}

// A listener that breaks is an error.
func TestBrokenListener(t *testing.T) {
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	why := errors.New("the cable is cut")
	if err := grpcx.ServeListener(grpc.NewServer(), breaking{ln, why}); !errors.Is(err, why) {
		t.Errorf("Serve returns %v", err)
	}
}

type breaking struct {
	net.Listener
	err error
}

func (b breaking) Accept() (net.Conn, error) { return nil, b.err }

// A server can have several listeners, of gracex and of the program. A connection that one of them accepts late is served,
// although the other one has nothing left to do.
func TestSeveralListeners(t *testing.T) {
	u := must.Get(core.New(core.WithSignals(core.Signals{})))(t)
	srv := grpc.NewServer()
	grpcx.Readiness(srv)
	own := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	late := &late{Listener: must.Get(u.Listen(t.Context(), "tcp", "127.0.0.1:0"))(t), came: make(chan struct{}), goes: make(chan struct{})}
	for _, ln := range []net.Listener{own, late} {
		must.Do(t, grpcx.Attach(u, srv, ln))
	}
	must.Do(t, u.Ready())
	must.Do(t, check(t, own.Addr()))
	c := must.Get(net.Dial("tcp", late.Addr().String()))(t)
	defer c.Close()
	<-late.came
	stopped := make(chan error)
	go func() { stopped <- u.Stop(t.Context()) }()
	<-u.Draining()
	time.Sleep(20 * time.Millisecond) // in which a GracefulStop that does not wait would have begun
	close(late.goes)
	must.Get(io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"))(t)
	const goAway = 7
	for frame := make([]byte, 9); frame[3] != goAway; {
		if _, err := io.ReadFull(c, frame); err != nil {
			t.Fatalf("the connection ends without GOAWAY: %v", err)
		}
		must.Get(io.CopyN(io.Discard, c, int64(frame[0])<<16|int64(frame[1])<<8|int64(frame[2])))(t)
	}
	c.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// late is a listener whose first connection takes a while.
type late struct {
	net.Listener
	came, goes chan struct{}
	once       sync.Once
}

func (l *late) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.once.Do(func() {
		close(l.came)
		<-l.goes
	})
	return c, err
}

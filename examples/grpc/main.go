// Command grpc is a gRPC server that upgrades itself: replace its binary, send it SIGUSR2 or SIGHUP, and the
// new process takes over its listener, while the old one ends as gRPC does, by GracefulStop.
//
//	go build -o server ./examples/grpc
//	./server -addr 127.0.0.1:9090 -pidfile server.pid &
//	grpcurl -plaintext 127.0.0.1:9090 grpc.health.v1.Health/Check
//	kill -USR2 "$(cat server.pid)"
//
// gracex tracks gRPC's connections: the drain waits for them, and cuts what is left at its deadline. What
// they say is gRPC's own, so it is gRPC that tells its clients to leave (GOAWAY) and waits for the calls that
// it has begun.
//
// A call with the metadata x-delay takes that long: grpcurl -H 'x-delay: 2s', say.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":9090")

	err := core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", flags.Addr)
		if err != nil {
			return err
		}
		srv := grpc.NewServer(
			// GracefulStop waits for who has connected and says nothing before it tells anybody to leave: for 120 s
			// unless this is set, and then the deadline would cut the calls of all.
			grpc.ConnectionTimeout(max(flags.Drain/10, time.Second)),
			grpc.StreamInterceptor(untilDraining(u.Draining())),
			grpc.UnaryInterceptor(sayWho),
		)
		grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
		accepted := &listener{Listener: ln}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			serve(srv, accepted)
		}()
		go func() {
			<-u.Draining()
			// What is left shortly before the deadline is gRPC's to end. gracex would count it, and here nobody does.
			last := time.AfterFunc(flags.Drain*9/10, func() {
				slog.Warn("calls are cut: the drain takes too long")
				srv.Stop()
			})
			<-ended // gracex has closed the listener
			accepted.taken.Wait()
			srv.GracefulStop()
			last.Stop()
		}()
		return nil
	}, flags.Options()...)
	// nil comes back after a clean stop and after a handover, and ErrCut after a stop that cut what was left.
	if err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

// serve returns when the listener is closed: gracex does that when this process drains.
func serve(srv *grpc.Server, ln net.Listener) {
	if err := srv.Serve(ln); err != nil && !errors.Is(err, net.ErrClosed) {
		slog.Error("serve", "error", err)
	}
}

// listener knows which connections gRPC has not looked at yet: GracefulStop would close those
// that were accepted right before it, and their clients' calls would fail.
type listener struct {
	net.Listener
	taken sync.WaitGroup
}

// Accept returns a connection that is waited for until it is read from.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.taken.Add(1)
	return &conn{c, sync.OnceFunc(l.taken.Done)}, nil
}

type conn struct {
	net.Conn
	taken func()
}

// Read reads, and notes that gRPC serves the connection.
func (c *conn) Read(b []byte) (int, error) {
	c.taken()
	return c.Conn.Read(b)
}

// Close closes it.
func (c *conn) Close() error {
	c.taken()
	return c.Conn.Close()
}

// untilDraining ends streams when this process drains. GracefulStop would wait for them.
func untilDraining(draining <-chan struct{}) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithCancelCause(stream.Context())
		defer cancel(nil)
		go func() {
			select {
			case <-draining:
				cancel(errDraining)
			case <-ctx.Done():
			}
		}()
		err := handler(srv, &contextStream{stream, ctx})
		if errors.Is(context.Cause(ctx), errDraining) {
			return errDraining
		}
		return err
	}
}

// errDraining is what a client of a stream gets: it may call again, and reaches the next generation.
var errDraining = status.Error(codes.Unavailable, "this process is being replaced; call again")

// contextStream is a stream with another context.
type contextStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns it.
func (s *contextStream) Context() context.Context { return s.ctx }

// sayWho tells clients which generation answers, and then takes the time that they ask for.
func sayWho(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	_ = grpc.SendHeader(ctx, who())
	if err := delay(ctx); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

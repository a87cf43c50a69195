// Command grpc is a gRPC server that upgrades itself: replace its binary, send it SIGUSR2 or SIGHUP, and the
// new process takes over its listener, while the old one ends as gRPC does, by GracefulStop.
//
//	go build -o server ./examples/grpc
//	./server -addr 127.0.0.1:9090 -pidfile server.pid &
//	grpcurl -plaintext 127.0.0.1:9090 grpc.health.v1.Health/Check
//	kill -USR2 "$(cat server.pid)"
//
// gracex tracks gRPC's connections: the drain waits for them, and cuts what is left at its deadline. What they say is gRPC's
// own, so it is gRPC that tells its clients to leave (GOAWAY) and waits for the calls that it has begun.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/core"
)

func main() {
	addr := flag.String("addr", ":9090", "`address` to listen on")
	pidfile := flag.String("pidfile", "", "`file` that holds the process number of the current generation")
	drain := flag.Duration("drain", core.DefaultDrainTimeout, "how long an old generation may take to finish its calls")
	probation := flag.Duration("probation", core.DefaultProbation, "how long the old process can take the service back from a new one; 0 is not at all")
	flag.Parse()

	err := core.Run(func(u *core.Upgrader) error {
		ln, err := u.Listen(context.Background(), "tcp", *addr)
		if err != nil {
			return err
		}
		srv := grpc.NewServer(
			grpc.StreamInterceptor(untilDraining(u.Draining())),
			grpc.UnaryInterceptor(sayWho),
		)
		grpc_health_v1.RegisterHealthServer(srv, health.NewServer())
		go serve(srv, ln)
		go func() {
			<-u.Draining()
			// What is left shortly before the deadline is ended by gRPC, with a status that clients understand.
			last := time.AfterFunc(*drain*9/10, srv.Stop)
			srv.GracefulStop()
			last.Stop()
		}()
		return nil
	},
		core.WithPIDFile(*pidfile),
		core.WithDrainTimeout(*drain),
		core.WithProbation(*probation),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	// nil comes back after a clean stop and after a handover.
	if err != nil {
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

// sayWho tells clients which generation answers.
func sayWho(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	_ = grpc.SetHeader(ctx, who())
	return handler(ctx, req)
}

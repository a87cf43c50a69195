// Command grpc is a gRPC server that upgrades itself: replace its binary, send it SIGUSR2 or SIGHUP, and the
// new process takes over its listener, while the old one finishes the calls that it has.
//
//	go build -o server ./examples/grpc
//	./server -addr 127.0.0.1:9090 -pidfile server.pid &
//	grpcurl -plaintext 127.0.0.1:9090 list
//	grpcurl -plaintext -H 'x-delay: 2s' 127.0.0.1:9090 grpc.testing.TestService/UnaryCall &
//	kill -USR2 "$(cat server.pid)"
//
// It has calls of all four kinds, the health service and reflection. A unary call with the metadata x-delay takes that long.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
	"github.com/gracex-go/gracex/grpcx"
)

func main() {
	flags := app.Parse(":9090")
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	calls := newCalls()
	srv := grpc.NewServer(
		grpc.ChainUnaryInterceptor(calls.unary),
		grpc.ChainStreamInterceptor(grpcx.StreamInterceptor, calls.stream), // ends streams in time before they would be cut
	)
	grpc_testing.RegisterTestServiceServer(srv, service{})
	grpcx.Readiness(srv)
	reflection.Register(srv)

	opts := append(flags.Options(), core.OnEnd(func(context.Context) { calls.log() }))
	err := grpcx.Serve(srv, flags.Addr, opts...)
	// nil comes back after a clean stop and after a handover, and ErrCut after a stop that cut what was left.
	if err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "grpc:", err)
		os.Exit(1)
	}
}

package main

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

// calls tells clients which process answers, and counts the calls that it has answered without an error.
type calls struct {
	mu sync.Mutex
	ok map[string]int // by the method
}

func newCalls() *calls { return &calls{ok: make(map[string]int)} }

func (c *calls) count(method string, err error) {
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ok[path.Base(method)]++
	}
}

// log writes the counts at the end of the process.
func (c *calls) log() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, method := range slices.Sorted(maps.Keys(c.ok)) {
		slog.Info("answered", "generation", core.Generation(), "method", method, "calls", c.ok[method])
	}
}

// unary answers after the time that the call asks for.
func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	_ = grpc.SendHeader(ctx, who())
	err := delay(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := handler(ctx, req)
	c.count(info.FullMethod, err)
	return resp, err
}

func (c *calls) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	_ = stream.SendHeader(who())
	err := handler(srv, stream)
	c.count(info.FullMethod, err)
	return err
}

// who are the headers by which this process is known.
func who() metadata.MD {
	return metadata.Pairs("x-pid", strconv.Itoa(os.Getpid()), "x-generation", strconv.Itoa(core.Generation()))
}

// delay waits for as long as the call asks, like ?d= of the other examples.
func delay(ctx context.Context) error {
	asked := metadata.ValueFromIncomingContext(ctx, "x-delay")
	if len(asked) == 0 {
		return nil
	}
	err := app.Wait(ctx, asked[0])
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case err != nil:
		return status.Errorf(codes.InvalidArgument, "x-delay: %v", err)
	}
	return nil
}

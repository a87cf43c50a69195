package main

import (
	"context"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/core"
)

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
	d, err := time.ParseDuration(asked[0])
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "x-delay: %v; 2s and 150ms are durations", err)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

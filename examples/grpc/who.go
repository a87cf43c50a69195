package main

import (
	"context"
	"os"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
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
	err := app.Wait(ctx, asked[0])
	switch {
	case ctx.Err() != nil:
		return status.FromContextError(ctx.Err()).Err()
	case err != nil:
		return status.Errorf(codes.InvalidArgument, "x-delay: %v", err)
	}
	return nil
}

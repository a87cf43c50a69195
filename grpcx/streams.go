package grpcx

import (
	"context"
	"errors"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrLeaving is what the client of a stream gets that StreamInterceptor has ended: codes.Unavailable. It can call again,
// and reaches the next generation.
var ErrLeaving = status.Error(codes.Unavailable, "this process is being replaced or stopped; call again")

// leaving ends when streams that begin now should. It is that of the server that was attached last, and nil if none
// is served.
var leaving atomic.Pointer[context.Context]

// newLeave is for a server that is attached. leave ends its streams, and over is for its end.
func newLeave() (leave, over func()) {
	ctx, leave := context.WithCancel(context.Background())
	mine := &ctx
	leaving.Store(mine)
	return leave, func() {
		leaving.CompareAndSwap(mine, nil)
		leave()
	}
}

// StreamInterceptor ends streams that go on for too long with a status, before they are cut: give it to the server by
// grpc.ChainStreamInterceptor, as the first.
//
// A drain waits for streams, and so does StreamInterceptor for nine tenths of its time. Then it ends the context of
// those that are left. A handler that returns an error from there on has ErrLeaving returned in its place. One that
// returns nil has ended its stream, and the client gets that. A handler that waits in Recv does not notice, and is cut
// at the deadline. One that wants to leave sooner looks at core.Draining.
func StreamInterceptor(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	leaves := leaving.Load()
	if leaves == nil { // it is not served by this package
		return handler(srv, stream)
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer context.AfterFunc(*leaves, func() { cancel(ErrLeaving) })()
	err := handler(srv, &endingStream{stream, ctx})
	if err != nil && errors.Is(context.Cause(ctx), ErrLeaving) {
		return ErrLeaving
	}
	return err
}

// endingStream is a stream with another context.
type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context returns it.
func (s *endingStream) Context() context.Context { return s.ctx }

//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/gracex-go/gracex/internal/must"
)

// client does not retry. What gRPC itself does all the same, and can't be told not to: a call that the server has not begun
// when it says GOAWAY is sent again ("transparent retry"). It is counted.
type client struct {
	*grpc.ClientConn
	dials, again atomic.Int64
}

func dial(addr string) (*client, error) {
	c := &client{}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(), grpc.WithStatsHandler(c),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}))
	c.ClientConn = conn
	return c, err
}

func connect(t *testing.T, addr string) *client {
	t.Helper()
	c := must.Get(dial(addr))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

// HandleRPC counts the attempts that the caller does not notice.
func (c *client) HandleRPC(_ context.Context, s stats.RPCStats) {
	if begin, ok := s.(*stats.Begin); ok && begin.IsTransparentRetryAttempt {
		c.again.Add(1)
	}
}

func (*client) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*client) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*client) HandleConn(context.Context, stats.ConnStats)                       {}

// kinds are the calls, each as one function that checks the answer and returns the generation that has given it.
var kinds = []struct {
	method string
	call   func(ctx context.Context, c grpc.ClientConnInterface) (generation string, err error)
}{
	{"UnaryCall", unary},
	{"StreamingInputCall", clientStream},
	{"StreamingOutputCall", serverStream},
	{"FullDuplexCall", bidi},
}

const (
	messages = 3                     // of a stream
	interval = 10 * time.Millisecond // between them
	size     = 2000                  // of each, in bytes
)

var payload = &grpc_testing.Payload{Body: bytes.Repeat([]byte("x"), size)}

func generation(header metadata.MD) string { return strings.Join(header.Get("x-generation"), " ") }

func unary(ctx context.Context, c grpc.ClientConnInterface) (string, error) {
	var header metadata.MD
	r, err := grpc_testing.NewTestServiceClient(c).UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload}, grpc.Header(&header))
	if err == nil && len(r.GetPayload().GetBody()) != size {
		err = fmt.Errorf("the answer has %d bytes", len(r.GetPayload().GetBody()))
	}
	return generation(header), err
}

func clientStream(ctx context.Context, c grpc.ClientConnInterface) (string, error) {
	stream, err := grpc_testing.NewTestServiceClient(c).StreamingInputCall(ctx)
	if err != nil {
		return "", err
	}
	for range messages {
		if err := stream.Send(&grpc_testing.StreamingInputCallRequest{Payload: payload}); err != nil {
			break // CloseAndRecv says why
		}
		time.Sleep(interval)
	}
	r, err := stream.CloseAndRecv()
	if err == nil && r.GetAggregatedPayloadSize() != messages*size {
		err = fmt.Errorf("the server has got %d bytes", r.GetAggregatedPayloadSize())
	}
	header, _ := stream.Header()
	return generation(header), err
}

// asks asks for n messages.
func asks(n int, every time.Duration) *grpc_testing.StreamingOutputCallRequest {
	r := &grpc_testing.StreamingOutputCallRequest{Payload: payload}
	for range n {
		r.ResponseParameters = append(r.ResponseParameters, &grpc_testing.ResponseParameters{Size: size, IntervalUs: int32(every.Microseconds())})
	}
	return r
}

func serverStream(ctx context.Context, c grpc.ClientConnInterface) (string, error) {
	stream, err := grpc_testing.NewTestServiceClient(c).StreamingOutputCall(ctx, asks(messages, interval))
	if err != nil {
		return "", err
	}
	for range messages {
		if err := receive(stream); err != nil {
			return "", err
		}
	}
	return end(stream)
}

func bidi(ctx context.Context, c grpc.ClientConnInterface) (string, error) {
	stream, err := grpc_testing.NewTestServiceClient(c).FullDuplexCall(ctx)
	if err != nil {
		return "", err
	}
	for range messages {
		if err := stream.Send(asks(1, interval)); err != nil && !errors.Is(err, io.EOF) { // then Recv says why
			return "", err
		}
		if err := receive(stream); err != nil {
			return "", err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return "", err
	}
	return end(stream)
}

type outStream interface {
	grpc.ClientStream
	Recv() (*grpc_testing.StreamingOutputCallResponse, error)
}

func receive(stream outStream) error {
	m, err := stream.Recv()
	if err == nil && len(m.GetPayload().GetBody()) != size {
		err = fmt.Errorf("a message has %d bytes", len(m.GetPayload().GetBody()))
	}
	return err
}

// end reads the end of a stream, which has to be a good one.
func end(stream outStream) (string, error) {
	if m, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("behind the last message: %v, %w", m, err)
	}
	header, err := stream.Header()
	return generation(header), err
}

package clients

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gracex-go/gracex/internal/must"
)

// grpcConns is how many connections there are, and grpcCallers how many calls at a time on each.
const grpcConns, grpcCallers = 4, 4

// grpcClients do not retry. What gRPC itself does all the same is to send a call again that the server has not begun
// when it says GOAWAY ("transparent retry"). It is counted.
type grpcClients struct {
	t                *testing.T
	s                *server
	over             atomic.Bool
	wg               sync.WaitGroup
	requests, failed atomic.Int64
	dials, retries   atomic.Int64
}

// calls makes calls of a kind: "unary", "client", "server" or "bidi".
func calls(kind string) func(*testing.T, *server) running {
	return func(t *testing.T, s *server) running {
		c := &grpcClients{t: t, s: s}
		secure := insecure.NewCredentials()
		if s.tls != nil {
			secure = credentials.NewTLS(s.tls)
		}
		for range grpcConns {
			conn := must.Get(grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(secure), grpc.WithDisableRetry(),
				grpc.WithStatsHandler(c), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					c.dials.Add(1)
					return new(net.Dialer).DialContext(ctx, "tcp", addr)
				})))(t)
			t.Cleanup(func() { conn.Close() })
			for range grpcCallers {
				c.wg.Go(func() {
					for !c.over.Load() {
						c.requests.Add(1)
						if err := c.call(conn, kind); err != nil {
							c.failed.Add(1)
							t.Log(err)
						} else if s.calls != nil {
							s.calls.Add(1)
						}
						time.Sleep(time.Millisecond)
					}
				})
			}
		}
		return c
	}
}

// HandleRPC counts the attempts that the caller does not notice.
func (c *grpcClients) HandleRPC(_ context.Context, s stats.RPCStats) {
	if begin, ok := s.(*stats.Begin); ok && begin.IsTransparentRetryAttempt {
		c.retries.Add(1)
	}
}

func (*grpcClients) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (*grpcClients) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*grpcClients) HandleConn(context.Context, stats.ConnStats)                       {}

func (c *grpcClients) again() {}

func (c *grpcClients) end() counts {
	c.over.Store(true)
	c.wg.Wait()
	return counts{
		requests: int(c.requests.Load()), failed: int(c.failed.Load()), repeated: int(c.retries.Load()),
		connections: int(c.dials.Load()), wanted: grpcConns, full: int(c.s.full.Load()), resumed: int(c.s.resumed.Load()),
	}
}

// call makes a call, and checks the answer.
func (c *grpcClients) call(conn *grpc.ClientConn, kind string) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	method, sends, want := "collect", 1, []string{"2000"}
	message := string(make([]byte, 2000))
	desc := &grpc.StreamDesc{}
	switch kind {
	case "unary":
		in := new(wrapperspb.BytesValue)
		err := conn.Invoke(ctx, "/clients.Service/collect", wrapperspb.Bytes([]byte(message)), in)
		if err == nil && string(in.GetValue()) != "2000" {
			err = fmt.Errorf("unary: %q", in.GetValue())
		}
		return err
	case "client":
		desc.ClientStreams, sends, want = true, 3, []string{"6000"}
	case "server":
		desc.ServerStreams, method, want = true, "list", []string{message, message, message}
	case "bidi":
		desc.ClientStreams, desc.ServerStreams, method, sends, want = true, true, "echo", 3, []string{message, message, message}
	}
	stream, err := conn.NewStream(ctx, desc, "/clients.Service/"+method)
	if err != nil {
		return fmt.Errorf("%s: begin: %w", kind, err)
	}
	receive := func() error {
		in := new(wrapperspb.BytesValue)
		if err := stream.RecvMsg(in); err != nil {
			return fmt.Errorf("%s: receive: %w", kind, err)
		}
		if string(in.GetValue()) != want[0] {
			return fmt.Errorf("%s: %.20q for %.20q", kind, in.GetValue(), want[0])
		}
		want = want[1:]
		return nil
	}
	for range sends {
		if err := stream.SendMsg(wrapperspb.Bytes([]byte(message))); err != nil && !errors.Is(err, io.EOF) { // then RecvMsg says why
			return fmt.Errorf("%s: send: %w", kind, err)
		}
		if kind == "bidi" {
			if err := receive(); err != nil {
				return err
			}
		} else if kind == "client" {
			time.Sleep(5 * time.Millisecond)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return fmt.Errorf("%s: close: %w", kind, err)
	}
	for len(want) > 0 {
		if err := receive(); err != nil {
			return err
		}
	}
	if err := stream.RecvMsg(new(wrapperspb.BytesValue)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: behind the last message: %w", kind, err)
	}
	return nil
}

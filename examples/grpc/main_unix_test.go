//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/must"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	exampletest.ErrorEndsWithStatus1(t, "grpc")
}

// connect makes a client that does not retry. What gRPC itself does all the same, and can't be told not to: a call that
// the server has not begun when it says GOAWAY is sent again ("transparent retry").
func connect(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	c := must.Get(dial(addr))(t)
	t.Cleanup(func() { c.Close() })
	return c
}

func dial(addr string) (*grpc.ClientConn, error) {
	return grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
}

// check calls once, and returns the generation that has answered.
func check(ctx context.Context, c *grpc.ClientConn) (string, error) {
	var who metadata.MD
	res, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&who))
	if err == nil && res.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		err = fmt.Errorf("the answer is %v", res)
	}
	return strings.Join(who.Get("x-generation"), ""), err
}

// reaches calls, and no call fails, until the generation answers.
func reaches(ctx context.Context, t *testing.T, p *exampletest.Program, c *grpc.ClientConn, generation string) {
	t.Helper()
	p.Await("the next generation answers", func() bool { return must.Get(check(ctx, c))(t) == generation })
}

// watch begins a stream, which has said something when it returns.
func watch(ctx context.Context, t *testing.T, c *grpc.ClientConn) grpc_health_v1.Health_WatchClient {
	t.Helper()
	stream := must.Get(grpc_health_v1.NewHealthClient(c).Watch(ctx, &grpc_health_v1.HealthCheckRequest{}))(t)
	must.Get(stream.Recv())(t)
	return stream
}

// hold begins a call that takes as long as given, and returns when the server has begun with it. answer waits
// for the end.
func hold(ctx context.Context, t *testing.T, c *grpc.ClientConn, d time.Duration) (answer func() error) {
	t.Helper()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-delay", d.String())
	call := must.Get(c.NewStream(ctx, &grpc.StreamDesc{}, grpc_health_v1.Health_Check_FullMethodName))(t)
	must.Do(t, errors.Join(call.SendMsg(&grpc_health_v1.HealthCheckRequest{}), call.CloseSend()))
	if who, err := call.Header(); err != nil || len(who.Get("x-generation")) == 0 {
		t.Fatalf("%v %v", who, err)
	}
	return func() error { return call.RecvMsg(&grpc_health_v1.HealthCheckResponse{}) }
}

// TestUpgrades: no call fails while the server is upgraded, on connections that stay and on such that are new,
// and streams are told to come again.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	var calls, fresh atomic.Int64
	var generation [4]atomic.Value // that has answered each client last
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range generation {
		c := connect(t, p.Addr)
		exampletest.Repeat(t, &clients, stop, func() error {
			who, err := check(ctx, c)
			calls.Add(1)
			generation[i].Store(who)
			return err
		})
	}
	for range 4 {
		exampletest.Repeat(t, &clients, stop, func() error {
			c, err := dial(p.Addr)
			if err != nil {
				return err
			}
			defer c.Close()
			fresh.Add(1)
			_, err = check(ctx, c)
			return err
		})
	}
	streams := connect(t, p.Addr)
	const upgrades = 12 // a connection is in danger for some microseconds of each
	for n := range upgrades {
		stream := watch(ctx, t, streams)
		p.Upgrade(syscall.SIGUSR2)
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "call again") {
			t.Errorf("a stream was told %v", err)
		}
		for i := range generation {
			p.Await("the client gets to the next generation", func() bool { return generation[i].Load() == strconv.Itoa(n+1) || t.Failed() })
		}
	}
	close(stop)
	clients.Wait()
	t.Logf("%d calls, and %d on new connections", calls.Load(), fresh.Load())
	p.Stop()
}

// TestCallIsAwaited: the drain waits for a call that has begun, at an upgrade and at a stop, and not any longer.
func TestCallIsAwaited(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	c := connect(t, p.Addr)
	held := hold(ctx, t, c, 500*time.Millisecond)
	p.Upgrade(syscall.SIGUSR2)
	reaches(ctx, t, p, c, "1")
	if err := held(); err != nil {
		t.Errorf("the call that was under way when the upgrade came: %v", err)
	}
	p.AwaitLog("msg=\"generation ended\" generation=0", 1)
	held = hold(ctx, t, c, 500*time.Millisecond)
	p.Signal(syscall.SIGTERM)
	if err := held(); err != nil {
		t.Errorf("the call that was under way when the stop came: %v", err)
	}
	p.End()
}

// TestDrainEnds: a call that never ends holds up the drain no longer than it may.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-drain", "3s")
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	held := hold(ctx, t, connect(t, p.Addr), time.Hour)
	p.Upgrade(syscall.SIGUSR2)
	if err := held(); status.Code(err) != codes.Unavailable {
		t.Errorf("the call ended with %v", err)
	}
	p.AwaitLog("calls are cut", 1)
	p.AwaitLog("msg=\"generation ended\" generation=0", 1)
	p.Stop()
}

// TestSilentClient: who connects and says nothing does not keep the others in the old process until they are
// cut.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-drain", "10s")
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	c := connect(t, p.Addr)
	must.Get(check(ctx, c))(t)
	silent := must.Get(net.Dial("tcp", p.Addr))(t)
	defer silent.Close()
	must.Get(silent.Read(make([]byte, 1)))(t) // gRPC speaks first
	p.Upgrade(syscall.SIGUSR2)
	reaches(ctx, t, p, c, "1")
	p.AwaitLog("msg=\"generation ended\" generation=0", 1)
	p.Stop()
	if p.Log.Count("are cut") > 0 {
		t.Error("calls were cut")
	}
}

// TestStop: a stop ends streams, and waits for nothing else.
func TestStop(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	stream := watch(ctx, t, connect(t, p.Addr))
	began := time.Now()
	p.Stop()
	if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	t.Logf("stopped in %v", time.Since(began))
}

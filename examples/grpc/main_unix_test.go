//go:build unix

package main

import (
	"context"
	"errors"
	"io"
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
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	exampletest.ErrorEndsWithStatus1(t, "grpc")
}

// connect makes a client that does not retry. What gRPC itself does all the same, and can't be told not to: a call that
// the server has not begun when it says GOAWAY is sent again ("transparent retry").
func connect(t *testing.T, addr string) grpc_health_v1.HealthClient {
	t.Helper()
	c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return grpc_health_v1.NewHealthClient(c)
}

// TestUpgrades: no call fails while the server is upgraded, and streams are told to come again.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	var calls atomic.Int64
	var generation [4]atomic.Value // that has answered each client last
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range generation {
		c := connect(t, p.Addr)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var who metadata.MD
				res, err := c.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Header(&who))
				if err != nil || res.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
					t.Errorf("call %d: %v %v", calls.Load(), res, err)
					return
				}
				calls.Add(1)
				generation[i].Store(strings.Join(who.Get("x-generation"), ""))
			}
		})
	}
	streams := connect(t, p.Addr)
	for n := range 3 {
		stream, err := streams.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		p.Upgrade(syscall.SIGUSR2)
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "call again") {
			t.Errorf("a stream was told %v", err)
		}
		for i := range generation {
			p.Poll(func() bool { return generation[i].Load() == string(rune('1'+n)) || t.Failed() })
		}
	}
	close(stop)
	clients.Wait()
	t.Logf("%d calls", calls.Load())
	p.Stop()
}

// TestStop: a stop ends streams, and waits for nothing else.
func TestStop(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	ctx, cancel := context.WithTimeout(context.Background(), exampletest.Patience)
	defer cancel()
	stream, err := connect(t, p.Addr).Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	p.Stop()
	if _, err := stream.Recv(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v", err)
	}
	t.Logf("stopped in %v", time.Since(began))
}

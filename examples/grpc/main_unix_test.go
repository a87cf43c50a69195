//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/grpcx"
	"github.com/gracex-go/gracex/internal/must"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	exampletest.ErrorEndsWithStatus1(t, "grpc")
}

// patient is a context for calls. Nothing that works comes near its end.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), exampletest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// reaches calls, and no call fails, until the generation answers.
func reaches(ctx context.Context, t *testing.T, p *exampletest.Program, c *client, generation string) {
	t.Helper()
	p.Await("the next generation answers", func() bool { return must.Get(unary(ctx, c))(t) == generation })
}

// converse begins a stream that ends when the client says so. It is under way when it returns.
func converse(ctx context.Context, t *testing.T, c *client) grpc_testing.TestService_FullDuplexCallClient {
	t.Helper()
	stream := must.Get(grpc_testing.NewTestServiceClient(c).FullDuplexCall(ctx))(t)
	goOn(t, stream)
	return stream
}

// goOn has a message answered on a stream that has begun.
func goOn(t *testing.T, stream grpc_testing.TestService_FullDuplexCallClient) {
	t.Helper()
	must.Do(t, stream.Send(asks(1, 0)))
	must.Do(t, receive(stream))
}

// hold begins a call that takes as long as given, and returns when the server has begun with it. answer waits
// for the end.
func hold(ctx context.Context, t *testing.T, c *client, d time.Duration) (answer func() error) {
	t.Helper()
	stream := must.Get(grpc_testing.NewTestServiceClient(c).StreamingOutputCall(ctx, asks(1, d)))(t)
	must.Get(stream.Header())(t)
	return func() error {
		if err := receive(stream); err != nil {
			return err
		}
		_, err := end(stream)
		return err
	}
}

// answered reads from the log how many calls all processes have answered, by the method. They have ended.
func answered(p *exampletest.Program) map[string]int {
	sums := make(map[string]int)
	for _, m := range regexp.MustCompile(`msg=answered .*method=(\w+) calls=(\d+)`).FindAllStringSubmatch(p.Log.String(), -1) {
		n, _ := strconv.Atoi(m[2]) // they are digits
		sums[m[1]] += n
	}
	return sums
}

// TestUpgrades: no call of any kind fails while the server is upgraded, on connections that move, of which one is idle all
// the time, and on such that are new, and each is answered once. No client connects anew. GRPC_UPGRADES=20 upgrades more
// often.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	upgrades := 4
	if s := os.Getenv("GRPC_UPGRADES"); s != "" {
		upgrades = must.Get(strconv.Atoi(s))(t)
	}
	p := exampletest.Start(t)
	ctx := patient(t)
	if upgrades > 4 {
		ctx = t.Context()
	}
	const connections, pace = 4, 2 * time.Millisecond
	calls := make([]atomic.Int64, len(kinds))
	var at [connections][4]atomic.Value // the generation that has answered last
	var fresh atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	idle := connect(t, p.Addr)
	conns := []*client{idle}
	must.Get(unary(ctx, idle))(t)
	calls[0].Add(1)
	for i := range connections {
		c := connect(t, p.Addr)
		conns = append(conns, c)
		for k, kind := range kinds {
			exampletest.Repeat(t, &clients, stop, func() error {
				generation, err := kind.call(ctx, c)
				if err != nil {
					return fmt.Errorf("%s: %w", kind.method, err)
				}
				calls[k].Add(1)
				at[i][k].Store(generation)
				time.Sleep(pace)
				return nil
			})
		}
	}
	for range 2 {
		exampletest.Repeat(t, &clients, stop, func() error {
			c, err := dial(p.Addr)
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := unary(ctx, c); err != nil {
				return fmt.Errorf("on a new connection: %w", err)
			}
			fresh.Add(1)
			calls[0].Add(1)
			time.Sleep(pace)
			return nil
		})
	}
	for n := range upgrades + 1 {
		if n > 0 {
			p.Upgrade(syscall.SIGUSR2)
		}
		for i := range at {
			for k := range at[i] {
				p.Await("the client gets to the next generation", func() bool { return at[i][k].Load() == strconv.Itoa(n) || t.Failed() })
			}
		}
	}
	if by := must.Get(unary(ctx, idle))(t); by != strconv.Itoa(upgrades) {
		t.Errorf("generation %s answers on the idle connection", by)
	}
	calls[0].Add(1)
	close(stop)
	clients.Wait()
	p.Stop()
	sums := answered(p)
	for k, kind := range kinds {
		if n := calls[k].Load(); int64(sums[kind.method]) != n {
			t.Errorf("%s: %d calls were answered, and the processes have counted %d", kind.method, n, sums[kind.method])
		}
		t.Logf("%s: %d calls", kind.method, calls[k].Load())
	}
	var dials, again int64
	for _, c := range conns {
		dials, again = dials+c.dials.Load(), again+c.again.Load()
	}
	t.Logf("%d upgrades, %d calls on new connections, %d connections of %d clients, %d calls sent again by grpc",
		upgrades, fresh.Load(), dials, len(conns), again)
	if dials != int64(len(conns)) || again > 0 {
		t.Errorf("%d clients have made %d connections, and grpc has sent %d calls again", len(conns), dials, again)
	}
}

// TestCallIsAwaited: the drain waits for a call that has begun, at an upgrade and at a stop, and not any longer.
func TestCallIsAwaited(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-drain", "12s") // of which a quarter is for a connection to find a moment without a stream
	ctx := patient(t)
	c := connect(t, p.Addr)
	held := hold(ctx, t, c, 500*time.Millisecond)
	stream := converse(ctx, t, c)
	p.Upgrade(syscall.SIGUSR2)
	reaches(ctx, t, p, c, "1")
	if err := held(); err != nil {
		t.Errorf("the call that was under way when the upgrade came: %v", err)
	}
	goOn(t, stream) // it is in no hurry
	must.Do(t, stream.CloseSend())
	must.Get(end(stream))(t)
	p.AwaitLog("msg=\"generation ended\" generation=0", 1)
	held = hold(ctx, t, c, 500*time.Millisecond)
	p.Signal(syscall.SIGTERM)
	if err := held(); err != nil {
		t.Errorf("the call that was under way when the stop came: %v", err)
	}
	p.End()
}

// watch begins to watch the health of the service. It is well when it returns.
func watch(ctx context.Context, t *testing.T, c *client) grpc_health_v1.Health_WatchClient {
	t.Helper()
	w := must.Get(grpc_health_v1.NewHealthClient(c).Watch(ctx, &grpc_health_v1.HealthCheckRequest{}))(t)
	if r := must.Get(w.Recv())(t); r.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("at first it is %v", r.GetStatus())
	}
	return w
}

// TestDrainEnds: streams that do not end hold up the drain no longer than they may. One whose handler looks at its context
// is told to come again, and the others are cut, and counted. A client that watches the health of the service hears
// nothing else of an upgrade.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-drain", "5s")
	ctx := patient(t)
	c := connect(t, p.Addr)
	w, stream := watch(ctx, t, c), converse(ctx, t, c)
	p.Upgrade(syscall.SIGUSR2)
	if r, err := w.Recv(); !errors.Is(err, grpcx.ErrLeaving) {
		t.Errorf("the watch has got %v, %v, want %v", r, err, grpcx.ErrLeaving)
	}
	if err := receive(stream); status.Code(err) != codes.Unavailable || errors.Is(err, grpcx.ErrLeaving) {
		t.Errorf("the stream ended with %v", err)
	}
	p.AwaitLog("drain cut short", 1)
	p.AwaitLog("ledger.cut_connections=1", 1)
	p.AwaitLog("msg=\"generation ended\" generation=0", 1)
	p.Stop()
}

// TestSilentClient: a client that connects and says nothing does not keep the others in the old process until they are
// cut.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-drain", "4s")
	ctx := patient(t)
	c := connect(t, p.Addr)
	must.Get(unary(ctx, c))(t)
	silent := must.Get(net.Dial("tcp", p.Addr))(t)
	defer silent.Close()
	must.Get(silent.Read(make([]byte, 1)))(t) // gRPC speaks first
	p.Upgrade(syscall.SIGUSR2)
	reaches(ctx, t, p, c, "1")
	p.AwaitLog("msg=\"generation ended\" generation=0", 1)
	p.Stop()
	if p.Log.Count("cut short") > 0 {
		t.Error("calls were cut")
	}
}

// TestRollback: as long as the old process can take the service back none of its clients is told to leave, so that it
// serves on as before. The clients of the new one come back without an error, also if they had a call.
func TestRollback(t *testing.T) {
	t.Parallel()
	dir := must.Get(os.MkdirTemp("", "grpc"))(t) // its path is short enough for a socket
	t.Cleanup(func() { os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	p := exampletest.Start(t, "-probation", "1h", "-control", sock)
	ctx := patient(t)
	old := connect(t, p.Addr)
	stream := converse(ctx, t, old)
	p.Upgrade(syscall.SIGUSR2)
	if by := must.Get(unary(ctx, old))(t); by != "0" {
		t.Errorf("generation %s answers on the old connection", by)
	}
	young := connect(t, p.Addr)
	held := hold(ctx, t, young, 500*time.Millisecond)
	if by := must.Get(unary(ctx, young))(t); by != "1" {
		t.Errorf("generation %s answers on the new connection", by)
	}
	must.Do(t, control.Dial(sock).Rollback(ctx, "it is a test"))
	reaches(ctx, t, p, young, "0")
	if err := held(); err != nil {
		t.Errorf("the call that was under way in the process that was rolled back: %v", err)
	}
	goOn(t, stream)
	if by := must.Get(unary(ctx, old))(t); by != "0" || old.dials.Load() != 1 {
		t.Errorf("generation %s answers, over the connection number %d", by, old.dials.Load())
	}
	must.Do(t, stream.CloseSend())
	must.Get(end(stream))(t)
	p.Stop()
}

// TestHealth: a client that watches the health of the service hears of a stop before it comes.
func TestHealth(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t, "-prestop", "1h")
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	w := watch(ctx, t, connect(t, p.Addr))
	p.Signal(syscall.SIGTERM)
	if r, err := w.Recv(); err != nil || r.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("at the stop the watch has got %v, %v", r, err)
	}
	must.Get(unary(patient(t), connect(t, p.Addr)))(t) // it still accepts
	cancel()
	p.Stop() // a second signal, which ends the delay
}

// TestReflection: a tool finds out what the server has.
func TestReflection(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	stream := must.Get(grpc_reflection_v1.NewServerReflectionClient(connect(t, p.Addr)).ServerReflectionInfo(patient(t)))(t)
	must.Do(t, stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}))
	var names []string
	for _, s := range must.Get(stream.Recv())(t).GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	if want := []string{"grpc.health.v1.Health", "grpc.testing.TestService"}; len(names) < 2 || names[0] != want[0] {
		t.Errorf("the services are %q, want %q and its own", names, want)
	}
	must.Do(t, stream.CloseSend())
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	p.Stop()
}

// TestDelay: what is no duration is the client's mistake.
func TestDelay(t *testing.T) {
	t.Parallel()
	p := exampletest.Start(t)
	ctx := metadata.AppendToOutgoingContext(patient(t), "x-delay", "soon")
	if _, err := unary(ctx, connect(t, p.Addr)); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	p.Stop()
}

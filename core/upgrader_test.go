package core

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/internal/proctest"
)

// inProcess is held by the test whose Upgrader this process has: there is one at
// a time.
var inProcess sync.Mutex

// patience bounds every wait of a test. Nothing is ever expected to take that long.
const patience = proctest.Patience

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTest makes an Upgrader that ends with the test, and no signals.
func NewTest(t testing.TB, opts ...Option) *Upgrader {
	t.Helper()
	inProcess.Lock()
	return newTestLocked(t, realSystem, opts)
}

// newTestLocked is newTest for who holds inProcess already.
func newTestLocked(t testing.TB, sys system, opts []Option) *Upgrader {
	t.Helper()
	running.Store(nil) // a child of another test that has failed does not count here
	u, err := newUpgrader(&boot, sys, append([]Option{WithSignals(Signals{})}, opts...))
	if err != nil {
		inProcess.Unlock()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		u.requestStop(stopRequest{})
		u.cutShort("test")
		<-u.Done()
		inProcess.Unlock()
	})
	return u
}

// serve serves srv on a free port and says Ready. It returns the address.
func (u *Upgrader) ServeTest(t testing.TB, srv *http.Server) string {
	t.Helper()
	addr := u.AttachTest(t, srv)
	must(t, u.Ready())
	return addr
}

func (u *Upgrader) AttachTest(t testing.TB, srv *http.Server) string {
	t.Helper()
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, u.Attach(srv, ln))
	return ln.Addr().String()
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	if _, err := New(); !errors.Is(err, ErrRunning) {
		t.Errorf("a second New: %v, want ErrRunning", err)
	}
	if err := ListenAndServe("127.0.0.1:0", nil); !errors.Is(err, ErrRunning) {
		t.Errorf("ListenAndServe beside an Upgrader: %v, want ErrRunning", err)
	}
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrNotReady) {
		t.Errorf("Upgrade before Ready: %v, want ErrNotReady", err)
	}
	if currentState() != StateStarting || currentState().Serving() {
		t.Errorf("state %v before Ready", currentState())
	}
	must(t, u.Ready())
	must(t, u.Ready())
	if !currentState().Serving() {
		t.Errorf("state %v after Ready", currentState())
	}
	must(t, u.Stop(t.Context()))
	must(t, u.Stop(t.Context()))
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("Upgrade after Stop: %v, want ErrStopped", err)
	}
	if _, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, ErrStopped) {
		t.Errorf("Listen after Stop: %v, want ErrStopped", err)
	}
	if currentState() != StateStopped {
		t.Errorf("state %v after Stop", currentState())
	}
	select {
	case <-u.Done():
	default:
		t.Error("Done is open after Stop")
	}
}

// TestUpgradeInProgress: while one upgrade runs a second one, and one while the
// process stops, are refused.
func TestUpgradeInProgress(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	u := NewTest(t, OnPreFork(func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}))
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-Draining(r.Context())
		if _, err := u.Upgrade(r.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("Upgrade while stopping: %v, want ErrStopped", err)
		}
	})})
	first := make(chan error)
	go func() {
		_, err := u.Upgrade(context.Background())
		first <- err
	}()
	<-entered
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrInProgress) {
		t.Errorf("a second Upgrade: %v, want ErrInProgress", err)
	}
	asked := make(chan error)
	go func() {
		_, err := http.Get("http://" + addr)
		asked <- err
	}()
	for u.Status().Ledger.Open.Requests == 0 {
		time.Sleep(time.Millisecond)
	}
	must(t, u.Stop(t.Context()))
	must(t, <-asked)
	if err := <-first; !errors.Is(err, ErrStopped) {
		t.Errorf("the upgrade that a stop ended: %v, want ErrStopped", err)
	}
}

// TestUpgradeContext: the caller's context gives the attempt up, and the next one
// is possible.
func TestUpgradeContext(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	entered := make(chan struct{})
	u := NewTest(t, OnPreFork(func(ctx context.Context) error {
		if tries.Add(1) == 1 {
			close(entered)
			<-ctx.Done()
			return ctx.Err()
		}
		panic("a hook that panics must not end the process")
	}))
	must(t, u.Ready())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := u.Upgrade(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Upgrade = %v, want context.Canceled", err)
	}
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrVetoed) || !strings.Contains(err.Error(), "must not end the process") {
		t.Errorf("Upgrade = %v, want ErrVetoed", err)
	}
	if u.State() != StateCurrent {
		t.Errorf("state %v", u.State())
	}
}

// TestStopContext: the end of Stop's context cuts the drain short.
func TestStopContext(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	entered := make(chan struct{})
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	asked := make(chan error)
	go func() {
		_, err := http.Get("http://" + addr)
		asked <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Stop(ctx); !errors.Is(err, ErrCut) {
		t.Errorf("Stop = %v, want ErrCut", err)
	}
	if cut := u.Status().Ledger.Cut; cut != (Remaining{Requests: 1, Connections: 1}) {
		t.Errorf("the ledger has %+v as cut", cut)
	}
	if err := <-asked; err == nil {
		t.Error("the request was answered")
	}
}

// TestSetupFails: Run returns the error, and the process is free for another try.
func TestSetupFails(t *testing.T) {
	t.Parallel()
	inProcess.Lock()
	defer inProcess.Unlock()
	running.Store(nil) // see newTestLocked
	boom := errors.New("no configuration")
	for range 2 {
		if err := Run(func(*Upgrader) error { return boom }, WithSignals(Signals{})); !errors.Is(err, boom) {
			t.Errorf("Run = %v", err)
		}
	}
}

// TestOwnAcceptLoop: a program without net/http, whose connections are tracked
// and drained all the same.
func TestOwnAcceptLoop(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	go func() { // an echo server
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String()) // queued until Ready
	must(t, err)
	must(t, u.Ready())
	_, err = c.Write([]byte("x"))
	must(t, err)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if got := u.Status().Ledger; got.Accepted != 1 || got.Open.Connections != 1 {
		t.Errorf("ledger %+v", got)
	}
	stopped := make(chan error)
	go func() { stopped <- u.Stop(context.Background()) }()
	<-u.Draining()
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned %v with a connection open", err)
	default:
	}
	must(t, c.Close())
	must(t, <-stopped)
}

// TestOwnAcceptLoopDeadline: who does not leave is in the hook's count and the ledger's, and is cut; who leaves
// is not.
func TestOwnAcceptLoopDeadline(t *testing.T) {
	t.Parallel()
	var heard Remaining
	u := NewTest(t, WithDrainTimeout(300*time.Millisecond), OnDrainTimeout(func(left Remaining) { heard = left }))
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	accepted := make(chan net.Conn)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	must(t, u.Ready())
	dial := func() (client, server net.Conn) {
		client, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		t.Cleanup(func() { client.Close() })
		return client, <-accepted
	}
	_, leaves := dial()
	silent, stays := dial()
	stopped := make(chan error)
	go func() { stopped <- u.Stop(context.Background()) }()
	<-u.Draining()
	must(t, leaves.Close())
	err = <-stopped
	want := Remaining{Connections: 1}
	if !errors.Is(err, ErrCut) || !strings.Contains(err.Error(), want.String()) {
		t.Errorf("Stop = %v, want one with %q", err, want.String())
	}
	if got := u.Status().Ledger; heard != want || got.Cut != want || got.Accepted != 2 || got.Open != (Remaining{}) {
		t.Errorf("the hook heard of %v; ledger %+v", heard, got)
	}
	_ = silent.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client that stayed: %v", err)
	}
	_ = stays.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := stays.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("its connection: %v", err)
	}
	if _, open := <-accepted; open {
		t.Error("the accept loop goes on")
	}
}

// TestListenEarly: a listener from before the Upgrader is one of its own, wrapped
// or not, and an Upgrader that comes later does not get what was closed.
func TestListenEarly(t *testing.T) {
	t.Parallel()
	inProcess.Lock() // nobody else's Upgrader takes them
	ln, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	closed, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, closed.Close())
	if _, err := closed.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept on a closed one: %v", err)
	}
	u := newTestLocked(t, realSystem, nil)
	must(t, u.Attach(&http.Server{Handler: http.NotFoundHandler()}, Hiding{ln}))
	must(t, u.Ready())
	if passed, dups, err := u.passing.passOn(); err != nil || len(passed) != 1 || descriptions(passed)[0].Address != "127.0.0.1:0" {
		t.Errorf("the next generation would get %v, %v", descriptions(passed), err)
	} else {
		_ = fd.Close(dups[0])
	}
	resp, err := http.Get("http://" + ln.Addr().String())
	must(t, err)
	must(t, resp.Body.Close())
	if st := u.Status().Ledger; st.Accepted != 1 {
		t.Errorf("ledger %+v", st)
	}
	late, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	if u.passing.find(late.Addr()) == nil {
		t.Error("a listener that was opened while there is an Upgrader is not its own")
	}
}

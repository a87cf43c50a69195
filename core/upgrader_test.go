package core_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
)

func expectIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func upgradeError(ctx context.Context, u *core.Upgrader) error {
	_, err := u.Upgrade(ctx)
	return err
}

// waitForTheEnd is an upgrade hook that waits until the upgrade is given up.
func waitForTheEnd(entered chan<- struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}
}

func TestUpgrader_RefusesWhatIsTooEarlyOrTooLate(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	_, err := core.New()
	expectIs(t, "a second New", err, core.ErrRunning)
	expectIs(t, "ListenAndServe beside an Upgrader", core.ListenAndServe("127.0.0.1:0", nil), core.ErrRunning)
	expectIs(t, "Upgrade before Ready", upgradeError(t.Context(), u), core.ErrNotReady)
	if core.Status().State != core.StateStarting || core.Status().State.Serving() {
		t.Errorf("state %v before Ready", core.Status().State)
	}
	must(t, u.Ready())
	must(t, u.Ready())
	if !core.Status().State.Serving() {
		t.Errorf("state %v after Ready", core.Status().State)
	}
	must(t, u.Stop(t.Context()))
	must(t, u.Stop(t.Context()))
	expectIs(t, "Upgrade after Stop", upgradeError(t.Context(), u), core.ErrStopped)
	_, err = u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	expectIs(t, "Listen after Stop", err, core.ErrStopped)
	if core.Status().State != core.StateStopped {
		t.Errorf("state %v after Stop", core.Status().State)
	}
	select {
	case <-u.Done():
	default:
		t.Error("Done is open after Stop")
	}
}

func TestReady_AfterStopChangesNothing(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	u := core.NewTest(t, core.WithPIDFile(pidFile))
	must(t, u.Stop(t.Context()))
	expectIs(t, "Ready", u.Ready(), core.ErrStopped)
	if ents, _ := os.ReadDir(filepath.Dir(pidFile)); len(ents) != 0 {
		t.Errorf("it left %v", ents)
	}
	if u.State() != core.StateStopped {
		t.Errorf("state %v", u.State())
	}
}

// TestUpgrade_IsRefusedDuringAnotherAndAStop, which ends the one that runs.
func TestUpgrade_IsRefusedDuringAnotherAndAStop(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	u := core.NewTest(t, core.OnPreFork(waitForTheEnd(entered)))
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-core.Draining(r.Context())
		expectIs(t, "Upgrade while stopping", upgradeError(r.Context(), u), core.ErrStopped)
	})})
	first := make(chan error)
	go func() { first <- upgradeError(context.Background(), u) }()
	<-entered
	expectIs(t, "a second Upgrade", upgradeError(t.Context(), u), core.ErrInProgress)
	answer := beginFetch(addr)
	proctest.Await(t, "the request has begun", func() bool { return u.Status().Ledger.Open.Requests > 0 })
	must(t, u.Stop(t.Context()))
	must(t, (<-answer).err)
	expectIs(t, "the upgrade that a stop ended", <-first, core.ErrStopped)
}

// TestUpgrade_EndsWithItsContext, and the next one is possible.
func TestUpgrade_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	var tries atomic.Int32
	entered := make(chan struct{})
	u := core.NewTest(t, core.OnPreFork(func(ctx context.Context) error {
		if tries.Add(1) == 1 {
			return waitForTheEnd(entered)(ctx)
		}
		panic("a hook that panics must not end the process")
	}))
	must(t, u.Ready())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	expectIs(t, "Upgrade", upgradeError(ctx, u), context.Canceled)
	err := upgradeError(t.Context(), u)
	expectIs(t, "the next Upgrade", err, core.ErrVetoed)
	expectError(t, err, "must not end the process")
	if u.State() != core.StateCurrent {
		t.Errorf("state %v", u.State())
	}
}

func TestStop_IsCutShortByItsContext(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	entered := make(chan struct{})
	answer := beginFetch(u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})}))
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expectIs(t, "Stop", u.Stop(ctx), core.ErrCut)
	if cut := u.Status().Ledger.Cut; cut != (core.Remaining{Requests: 1, Connections: 1}) {
		t.Errorf("the ledger has %+v as cut", cut)
	}
	if (<-answer).err == nil {
		t.Error("the request was answered")
	}
}

// TestRun_FailedSetupLeavesRoomForAnother try.
func TestRun_FailedSetupLeavesRoomForAnother(t *testing.T) {
	t.Parallel()
	core.Alone(t)
	boom := errors.New("no configuration")
	for range 2 {
		expectIs(t, "Run", core.Run(func(*core.Upgrader) error { return boom }, core.WithSignals(core.Signals{})), boom)
	}
}

// acceptLoop is a program without net/http. It passes its connections on, and closes the channel at its end.
func acceptLoop(ln net.Listener) <-chan net.Conn {
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	return accepted
}

// TestAcceptLoop_OfTheProgramIsDrained: its connections are tracked.
func TestAcceptLoop_OfTheProgramIsDrained(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	accepted := acceptLoop(ln)
	c, err := net.Dial("tcp", ln.Addr().String()) // queued until Ready
	must(t, err)
	must(t, u.Ready())
	server := <-accepted
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, server)
	}()
	_, err = c.Write([]byte("x"))
	must(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	must(t, err)
	if got := u.Status().Ledger; got.Accepted != 1 || got.Open.Connections != 1 {
		t.Errorf("ledger %+v", got)
	}
	stopped := beginStop(u)
	expectWaits(t, stopped)
	must(t, c.Close())
	must(t, <-stopped)
}

// TestAcceptLoop_ConnectionThatStaysIsCut, and is in the hook's count and the ledger's; one that leaves is not.
func TestAcceptLoop_ConnectionThatStaysIsCut(t *testing.T) {
	t.Parallel()
	var heard core.Remaining
	u := core.NewTest(t, core.WithDrainTimeout(300*time.Millisecond), core.OnDrainTimeout(func(left core.Remaining) { heard = left }))
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	accepted := acceptLoop(ln)
	must(t, u.Ready())
	dial := func() (client, server net.Conn) {
		client, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		t.Cleanup(func() { client.Close() })
		return client, <-accepted
	}
	_, leaves := dial()
	silent, stays := dial()
	stopped := beginStop(u)
	must(t, leaves.Close())
	err = <-stopped
	want := core.Remaining{Connections: 1}
	expectIs(t, "Stop", err, core.ErrCut)
	expectError(t, err, want.String())
	if got := u.Status().Ledger; heard != want || got.Cut != want || got.Accepted != 2 || got.Open != (core.Remaining{}) {
		t.Errorf("the hook heard of %v; ledger %+v", heard, got)
	}
	for _, end := range []struct {
		what string
		conn net.Conn
		want error
	}{{"the client that stayed", silent, io.EOF}, {"its connection", stays, net.ErrClosed}} {
		_ = end.conn.SetReadDeadline(time.Now().Add(patience))
		_, err := end.conn.Read(make([]byte, 1))
		expectIs(t, end.what, err, end.want)
	}
	if _, open := <-accepted; open {
		t.Error("the accept loop goes on")
	}
}

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

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func expectIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func expectEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
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
	expectEqual(t, "the state before Ready", core.Status().State, core.StateStarting)
	must(t, u.Ready())
	must(t, u.Ready())
	expectEqual(t, "the state after Ready", core.Status().State, core.StateCurrent)
	must(t, u.Stop(t.Context()))
	must(t, u.Stop(t.Context()))
	expectIs(t, "Upgrade after Stop", upgradeError(t.Context(), u), core.ErrStopped)
	_, err = u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	expectIs(t, "Listen after Stop", err, core.ErrStopped)
	expectEqual(t, "the state after Stop", core.Status().State, core.StateStopped)
	select {
	case <-u.Done():
	default:
		t.Error("Done is open after Stop")
	}
}

func TestReady_AfterStopChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u := core.NewTest(t, core.WithPIDFile(filepath.Join(dir, "app.pid")))
	must(t, u.Stop(t.Context()))
	expectIs(t, "Ready", u.Ready(), core.ErrStopped)
	left, err := os.ReadDir(dir)
	must(t, err)
	expectEqual(t, "what it left", len(left), 0)
	expectEqual(t, "the state", u.State(), core.StateStopped)
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
	go func() { <-entered; cancel() }()
	expectIs(t, "Upgrade", upgradeError(ctx, u), context.Canceled)
	err := upgradeError(t.Context(), u)
	expectIs(t, "the next Upgrade", err, core.ErrVetoed)
	expectError(t, err, "must not end the process")
	expectEqual(t, "the state", u.State(), core.StateCurrent)
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

// TestAcceptLoop_OfTheProgramIsDrained: its connections are tracked. One that stays is cut when the context of
// Stop ends, and is in the hook's count and the ledger's; one that leaves is not.
func TestAcceptLoop_OfTheProgramIsDrained(t *testing.T) {
	t.Parallel()
	var heard core.Remaining
	u := core.NewTest(t, core.OnDrainTimeout(func(left core.Remaining) { heard = left }))
	ln := u.ListenTest(t)
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
	early, late := rawhttp.Dial(t, ln.Addr().String()), rawhttp.Dial(t, ln.Addr().String()) // queued until Ready
	must(t, u.Ready())
	leaves, stays := <-accepted, <-accepted
	early.Send("x")
	_, err := io.ReadFull(leaves, make([]byte, 1))
	must(t, err)
	expectEqual(t, "accepted", u.Status().Ledger.Accepted, 2)
	expectEqual(t, "open", u.Status().Ledger.Open, core.Remaining{Connections: 2})
	ctx, cut := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- u.Stop(ctx) }()
	<-u.Draining()
	must(t, leaves.Close())
	want := core.Remaining{Connections: 1}
	core.ExpectOpen(t, u, want)
	expectWaits(t, stopped)
	cut()
	err = <-stopped
	expectIs(t, "Stop", err, core.ErrCut)
	expectError(t, err, want.String())
	expectEqual(t, "the hook heard of", heard, want)
	expectEqual(t, "cut", u.Status().Ledger.Cut, want)
	expectEqual(t, "open at the end", u.Status().Ledger.Open, core.Remaining{})
	for _, client := range []*rawhttp.Client{early, late} {
		_, err = client.Read(make([]byte, 1))
		expectIs(t, "a client", err, io.EOF)
	}
	_, err = stays.Read(make([]byte, 1))
	expectIs(t, "the connection that stayed", err, net.ErrClosed)
	if _, open := <-accepted; open {
		t.Error("the accept loop goes on")
	}
}

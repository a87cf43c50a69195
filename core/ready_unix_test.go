//go:build unix

package core

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// oldProcess is an old process that a test plays for an Upgrader in this one.
type playedOld struct {
	t   *testing.T
	ctl net.Conn
}

// newChild makes an Upgrader whose old process is played.
func newChild(t *testing.T, opts ...Option) (*Upgrader, *playedOld) {
	t.Helper()
	inProcess.Lock()
	ours, theirs := controlPair(t)
	beforeNew.mu.Lock()
	beforeNew.taken, beforeNew.inherited = false, &inheritance{generation: 1, old: peer.NewOld(theirs)}
	beforeNew.mu.Unlock()
	u := newTestLocked(t, realSystem, opts)
	t.Cleanup(func() { ours.Close() }) // before the Upgrader is stopped
	return u, &playedOld{t, ours}
}

// controlPair returns both ends of a handover socket, which are closed with the test.
func controlPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ours, end, err := fd.Pair()
	must(t, err)
	t.Cleanup(func() { ours.Close() })
	theirs, err = fd.Conn(end)
	must(t, err)
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// hears waits for a frame of the type. That the new process has acknowledged that it serves is
// between any two.
func (o *playedOld) hears(want wire.Type) {
	o.t.Helper()
	must(o.t, o.ctl.SetReadDeadline(time.Now().Add(patience)))
	f, err := wire.Read(o.ctl)
	must(o.t, err)
	if f.Type == wire.Confirmed && want != f.Type {
		f, err = wire.Read(o.ctl)
		must(o.t, err)
	}
	if f.Type != want {
		o.t.Fatalf("the old process heard %v, want %v", f.Type, want)
	}
}

func (o *playedOld) says(ty wire.Type, msg any) {
	o.t.Helper()
	must(o.t, wire.Write(o.ctl, ty, msg))
}

// TestTakeOver: between ready and commit the new process accepts nothing and the
// pid file is the old one's; what happens then decides.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then func(o *playedOld)
		want error // of Ready; nil: this process is current
	}{
		"commit": {func(o *playedOld) { o.says(wire.Commit, wire.CommitMsg{DrainMillis: 1000}) }, nil},
		"commit, then gone": {func(o *playedOld) {
			o.says(wire.Commit, wire.CommitMsg{DrainMillis: 1000})
			o.ctl.Close()
		}, nil},
		"gone":  {func(o *playedOld) { o.ctl.Close() }, nil},
		"abort": {func(o *playedOld) { o.says(wire.Abort, wire.ReasonMsg{Reason: "too late"}) }, ErrAborted},
		"abort for a stop, then gone": {func(o *playedOld) {
			o.says(wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("too late"), Stop: true})
			o.ctl.Close()
		}, ErrAborted},
	} {
		t.Run(name, func(t *testing.T) {
			pidFile := filepath.Join(t.TempDir(), "app.pid")
			must(t, os.WriteFile(pidFile, []byte("4711\n"), 0o644))
			u, old := newChild(t, WithPIDFile(pidFile))
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			must(t, u.Attach(&http.Server{Handler: http.NotFoundHandler()}, ln))
			ready := make(chan error, 1)
			go func() { ready <- u.Ready() }()
			old.hears(wire.Ready)

			if b, _ := os.ReadFile(pidFile); string(b) != "4711\n" {
				t.Errorf("the pid file before the handover: %q", b)
			}
			if u.State() != StateStarting || isClosed(u.phase.accepting) {
				t.Errorf("before the handover: state %v, accepting %v", u.State(), isClosed(u.phase.accepting))
			}
			go func() { // a failed Ready says so; nobody needs to hear
				tt.then(old)
				_, _ = io.Copy(io.Discard, old.ctl)
			}()
			if err := <-ready; !errors.Is(err, tt.want) {
				t.Fatalf("Ready = %v, want %v", err, tt.want)
			}
			b, _ := os.ReadFile(pidFile)
			if tt.want != nil {
				<-u.Done()
				if string(b) != "4711\n" {
					t.Errorf("the pid file after a failure: %q", b)
				}
				return
			}
			if string(b) != strconv.Itoa(os.Getpid())+"\n" {
				t.Errorf("the pid file after the handover: %q", b)
			}
			resp, err := http.Get("http://" + ln.Addr().String())
			must(t, err)
			must(t, resp.Body.Close())
		})
	}
}

// TestReadyAfterStop changes nothing any more.
func TestReadyAfterStop(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	u := NewTest(t, WithPIDFile(pidFile))
	must(t, u.Stop(t.Context()))
	if err := u.Ready(); !errors.Is(err, ErrStopped) {
		t.Errorf("Ready = %v, want ErrStopped", err)
	}
	if ents, _ := os.ReadDir(filepath.Dir(pidFile)); len(ents) != 0 {
		t.Errorf("it left %v", ents)
	}
	if u.State() != StateStopped {
		t.Errorf("state %v", u.State())
	}
}

// TestServeListenerAfterAFailure: a new process that has failed serves no more, and
// does not keep the listener that it was given.
func TestServeListenerAfterAFailure(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	o.says(wire.Abort, wire.ReasonMsg{Reason: "too late"})
	if err := u.Ready(); !errors.Is(err, ErrAborted) {
		t.Fatalf("Ready = %v", err)
	}
	<-u.Done()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	if err := ServeListener(&http.Server{}, ln); !errors.Is(err, ErrAborted) {
		t.Errorf("ServeListener = %v", err)
	}
	if err := ln.(*net.TCPListener).SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

//go:build unix

package core

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// fake is a new process that a test plays in this one, behind the seam.
type fake struct {
	ctl     net.Conn
	names   wire.WelcomeMsg
	files   int
	signals chan os.Signal
	ended   chan string   // how
	said    chan struct{} // closed when goesOnProbation has said ready; nil if nobody wants to know
}

func (f *fake) PID() int                   { return 1 << 30 }
func (f *fake) Signal(sig os.Signal) error { f.signals <- sig; return nil }
func (f *fake) Wait() spawn.Exit           { return spawn.Exit{Text: <-f.ended} }

func (f *fake) say(t *testing.T, ty wire.Type, msg any) {
	t.Helper()
	must(t, wire.Write(f.ctl, ty, msg))
}

// hear returns the next frame from the old process.
func (f *fake) hear(t *testing.T) wire.Frame {
	t.Helper()
	must(t, f.ctl.SetReadDeadline(time.Now().Add(patience)))
	fr, err := wire.Read(f.ctl)
	must(t, err)
	return fr
}

// fakeStart returns a system whose processes are played by play, each in a
// goroutine of its own.
func fakeStart(t *testing.T, play func(f *fake)) system {
	return system{start: func(_ string, _ spawn.Launch, control string, files []int) (spawn.Process, error) {
		c, err := wire.ParseHandover(control)
		must(t, err)
		s, err := fd.DupOf(files[len(files)-1])
		must(t, err)
		if c.Descriptor != fd.First+len(files)-1 || c.PID != os.Getpid() {
			t.Errorf("%s says %v for %d files", wire.EnvHandover, c, len(files))
		}
		ctl, err := fd.Conn(s)
		must(t, err)
		f := &fake{ctl: ctl, files: len(files) - 1, signals: make(chan os.Signal, 8), ended: make(chan string, 1)}
		go func() {
			defer ctl.Close()
			must(t, f.hear(t).Decode(&f.names))
			play(f)
		}()
		return f, nil
	}}
}

// newFake makes an Upgrader whose new processes are played, with one listener,
// ready.
func newFake(t *testing.T, play func(f *fake), opts ...Option) *Upgrader {
	t.Helper()
	inProcess.Lock()
	u := newTestLocked(t, fakeStart(t, play), opts)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	ln.(*listener).served.Store(true) // as if a server of gracex's had it
	must(t, u.Ready())
	return u
}

// TestHandshake is the protocol when all goes well.
func TestHandshake(t *testing.T) {
	t.Parallel()
	committed := make(chan wire.CommitMsg, 1)
	u := newFake(t, func(f *fake) {
		if len(f.names.Listeners) != 1 || f.files != 1 || f.names.Listeners[0] != (wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}) {
			t.Errorf("%d files, named %+v", f.files, f.names)
		}
		f.say(t, wire.Hello, wire.HelloMsg{PID: 1})
		f.say(t, wire.Ready, nil)
		fr := f.hear(t)
		var msg wire.CommitMsg
		must(t, fr.Decode(&msg))
		committed <- msg
		f.say(t, wire.Confirmed, nil)
		f.await(t, wire.Drained)
		f.ended <- "fine"
	}, WithDrainTimeout(1500*time.Millisecond))
	res, err := u.Upgrade(t.Context())
	must(t, err)
	if res.Generation != 1 || res.PID != 1<<30 || res.Plain {
		t.Errorf("result %+v", res)
	}
	if got, want := <-committed, (wire.CommitMsg{DrainMillis: 1500}); got != want {
		t.Errorf("commit %+v, want %+v", got, want)
	}
	<-u.Done()
	must(t, u.Err())
}

// TestReadyInTimeHolds: a ready that came while this process was held up counts,
// because the new process relies on it.
func TestReadyInTimeHolds(t *testing.T) {
	t.Parallel()
	said := make(chan struct{})
	u := newFake(t, func(f *fake) {
		f.say(t, wire.Hello, nil)
		f.say(t, wire.Ready, nil)
		close(said)
		if fr := f.hear(t); fr.Type != wire.Commit {
			t.Errorf("%v instead of commit", fr.Type)
		}
		f.say(t, wire.Confirmed, nil)
		f.await(t, wire.Drained)
		f.ended <- "fine"
	}, WithReadyTimeout(50*time.Millisecond), OnPostFork(func(ctx context.Context, _ int) { <-ctx.Done(); <-said }))
	if _, err := u.Upgrade(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReadyInTimePasses: the same on probation, in which the new process is listened to as
// ever.
func TestReadyInTimePasses(t *testing.T) {
	t.Parallel()
	for i := range 6 { // which of the two is noticed first is up to the scheduler
		t.Run(strconv.Itoa(i), readyInTimePasses)
	}
}

func readyInTimePasses(t *testing.T) {
	said := make(chan struct{})
	u := newFake(t, func(f *fake) {
		f.said = said
		f.goesOnProbation(t)
		defer func() { f.ended <- "fine" }()
		for {
			switch fr := f.hear(t); fr.Type {
			case wire.Ping:
				f.say(t, wire.Pong, nil)
			case wire.Confirm:
				f.say(t, wire.Confirmed, nil)
				f.await(t, wire.Drained)
				return
			default:
				t.Errorf("%v instead of confirm", fr.Type)
				return
			}
		}
	}, WithReadyTimeout(50*time.Millisecond), WithProbation(4*timing.InTime),
		OnPostFork(func(ctx context.Context, _ int) { <-ctx.Done(); <-said }))
	if _, err := u.Upgrade(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestGoneAfterReady: a new process that ends in the moment between is no
// next process.
func TestGoneAfterReady(t *testing.T) {
	t.Parallel()
	u := newFake(t, func(f *fake) {
		f.say(t, wire.Hello, nil)
		f.say(t, wire.Ready, nil)
		f.ctl.Close()
		f.ended <- "exit status 9"
	}, OnPostFork(func(context.Context, int) { time.Sleep(20 * time.Millisecond) }))
	if res, err := u.Upgrade(t.Context()); err == nil {
		t.Errorf("upgraded to %+v", res)
	}
	if u.State() != StateCurrent {
		t.Errorf("state %v", u.State())
	}
}

// TestBrokenHandshake: whatever the new process does wrong, it is told, ended and
// reaped, and the old one serves on.
func TestBrokenHandshake(t *testing.T) {
	t.Parallel()
	obey := func(f *fake) { // SIGTERM
		if fr := f.hear(t); fr.Type != wire.Abort {
			t.Errorf("%v instead of abort", fr.Type)
		}
		<-f.signals
		f.ended <- "signal: terminated"
	}
	for name, tt := range map[string]struct {
		play func(f *fake)
		want string
	}{
		"out of order": {func(f *fake) { f.say(t, wire.Hello, nil); f.say(t, wire.Commit, wire.CommitMsg{}); obey(f) }, "unexpected commit frame"},
		"unknown type": {func(f *fake) { f.say(t, wire.Hello, nil); f.say(t, 200, nil); obey(f) }, "unexpected type 200 frame"},
		"truncated": {func(f *fake) {
			_, err := f.ctl.Write([]byte("GX\x01\x03\x00\x00"))
			must(t, err)
			must(t, f.ctl.(*net.UnixConn).CloseWrite())
			obey(f)
		}, "unexpected EOF"},
		"oversized": {func(f *fake) {
			_, err := f.ctl.Write([]byte("GX\x01\x03\xff\xff\xff\xff"))
			must(t, err)
			obey(f)
		}, "not a gracex frame"},
		"says why": {func(f *fake) {
			f.say(t, wire.Hello, nil)
			f.say(t, wire.Failed, wire.ReasonMsg{Reason: "no database"})
			f.ended <- "exit status 1"
		}, "no database (exit status 1"},
		"fails without a reason": {func(f *fake) {
			f.say(t, wire.Failed, nil)
			f.ended <- "exit status 1"
		}, "did not say why"},
		"another version, then nothing": {func(f *fake) {
			_, err := f.ctl.Write([]byte("GX\x02\x01\x00\x00\x00\x00"))
			must(t, err)
			obey(f)
		}, "timed out"},
		"hangs up at once": {func(f *fake) { f.ctl.Close(); <-f.signals; f.ended <- "signal: terminated" }, "timed out"},
		"chatters": {func(f *fake) {
			for range 100 {
				if wire.Write(f.ctl, wire.Hello, nil) != nil {
					break
				}
			}
			<-f.signals
			f.ended <- "signal: terminated"
		}, "timed out"},
		"deaf": {func(f *fake) {
			f.say(t, wire.Hello, nil)
			for sig := range f.signals {
				if sig == os.Kill {
					f.ended <- "signal: killed"
					return
				}
			}
		}, "signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := DefaultReadyTimeout
			if tt.want == "timed out" || name == "deaf" {
				limit = 300 * time.Millisecond
			}
			u := newFake(t, tt.play, WithReadyTimeout(limit))
			_, err := u.Upgrade(t.Context())
			var start *StartError
			if !errors.As(err, &start) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Upgrade = %v, want a StartError with %q", err, tt.want)
			}
			if u.State() != StateCurrent {
				t.Errorf("state %v", u.State())
			}
		})
	}
}

//go:build unix

package core

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

func TestUpgrade_SpeaksTheProtocol(t *testing.T) {
	t.Parallel()
	committed := make(chan wire.CommitMsg, 1)
	u := playNew(t, func(f *playedNew) {
		all := f.names.Listeners
		// Other tests of this process listen outside gracex.
		held := slices.DeleteFunc(slices.Clone(all), func(l wire.Listener) bool { return l.Outside })
		if len(held) != 1 || f.files != len(all) || held[0] != *atListener {
			t.Errorf("%d files, named %+v", f.files, f.names)
		}
		f.says(wire.Hello, wire.HelloMsg{PID: 1})
		f.says(wire.Ready, nil)
		var msg wire.CommitMsg
		must(t, f.next().Decode(&msg))
		committed <- msg
		f.serves()
	}, WithDrainTimeout(1500*time.Millisecond))
	if res := u.expectUpgrade(t, nil); res.Generation != 1 || res.PID != 1<<30 || res.Plain {
		t.Errorf("result %+v", res)
	}
	expectEqual(t, "commit", <-committed, wire.CommitMsg{DrainMillis: 1500})
	u.expectDone(t, nil)
}

// TestUpgrade_ReadyInTimeHolds though it is read late: a ready that came while this process was held up
// counts, because the new process relies on it. On probation the new process is listened to as always.
func TestUpgrade_ReadyInTimeHolds(t *testing.T) {
	t.Parallel()
	upgrade := func(t *testing.T, msg wire.ReadyMsg, then func(f *playedNew), opts ...Option) {
		said := make(chan struct{})
		u := playNew(t, func(f *playedNew) {
			f.getsReady(msg)
			close(said)
			then(f)
			f.serves()
		}, append(opts, WithReadyTimeout(50*time.Millisecond), OnPostFork(func(ctx context.Context, _ int) {
			<-ctx.Done()
			<-said
		}))...)
		u.expectUpgrade(t, nil)
	}
	t.Run("without a probation", func(t *testing.T) {
		upgrade(t, wire.ReadyMsg{}, func(f *playedNew) { f.hears(wire.Commit) })
	})
	for i := range 6 { // which of the two is noticed first is up to the scheduler
		t.Run("probation "+strconv.Itoa(i+1), func(t *testing.T) {
			upgrade(t, wire.ReadyMsg{Probation: true}, func(f *playedNew) {
				f.beginsProbation()
				f.passesProbation()
			}, WithProbation(4*timing.InTime))
		})
	}
}

// TestUpgrade_ReadyProcessThatEndsIsNotNext if it ends in the moment between.
func TestUpgrade_ReadyProcessThatEndsIsNotNext(t *testing.T) {
	t.Parallel()
	u := playNew(t, func(f *playedNew) {
		f.getsReady(wire.ReadyMsg{})
		f.ctl.Close()
		f.ends("exit status 9")
	}, OnPostFork(func(context.Context, int) { time.Sleep(20 * time.Millisecond) }))
	if res, err := u.Upgrade(t.Context()); err == nil {
		t.Errorf("upgraded to %+v", res)
	}
	u.expectState(t, StateCurrent)
}

// TestUpgrade_BadNewProcessIsEnded: whatever it does wrong, it is told, ended and reaped, and the old one
// serves on.
func TestUpgrade_BadNewProcessIsEnded(t *testing.T) {
	t.Parallel()
	obeys := func(do func(f *playedNew)) func(*playedNew) {
		return func(f *playedNew) {
			do(f)
			f.hears(wire.Abort)
			f.obeys()
		}
	}
	says := func(words ...word) func(*playedNew) { return obeys(func(f *playedNew) { f.saysAtOnce(words...) }) }
	writes := func(s string) func(*playedNew) { return obeys(func(f *playedNew) { f.writes(s) }) }
	fails := func(words ...word) func(*playedNew) {
		return func(f *playedNew) {
			f.saysAtOnce(words...)
			f.ends("exit status 1")
		}
	}
	hello := word{wire.Hello, nil}
	for name, tt := range map[string]struct {
		play func(f *playedNew)
		want string
	}{
		"word of the other":  {says(hello, word{wire.Commit, wire.CommitMsg{}}), "unexpected commit frame"},
		"word of no version": {says(hello, word{200, nil}), "unexpected type 200 frame"},
		"half a word": {obeys(func(f *playedNew) {
			f.writes("GX\x01\x03\x00\x00")
			must(t, f.ctl.(*net.UnixConn).CloseWrite())
		}), "unexpected EOF"},
		"oversized":                     {writes("GX\x01\x03\xff\xff\xff\xff"), "not a gracex frame"},
		"another version, then nothing": {writes("GX\x02\x01\x00\x00\x00\x00"), "timed out"},
		"failed for a reason":           {fails(hello, word{wire.Failed, wire.Because("no disk")}), "no disk (exit status 1"},
		"failed for no reason":          {fails(word{wire.Failed, nil}), "did not say why"},
		"hangs up at once":              {func(f *playedNew) { f.ctl.Close(); f.obeys() }, "timed out"},
		"chatters": {func(f *playedNew) {
			for range 100 {
				if wire.Write(f.ctl, wire.Hello, nil) != nil {
					break
				}
			}
			f.obeys()
		}, "timed out"},
		"deaf": {func(f *playedNew) {
			f.says(wire.Hello, nil)
			for sig := range f.signals {
				if sig == os.Kill {
					f.ends("signal: killed")
					return
				}
			}
		}, "timed out: it was not ready in time"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := DefaultReadyTimeout
			if tt.want == "timed out" || name == "deaf" {
				limit = 300 * time.Millisecond
			}
			u := playNew(t, tt.play, WithReadyTimeout(limit))
			_, err := u.Upgrade(t.Context())
			expectEqual(t, "it is a StartError", errors.As(err, new(*StartError)), true)
			expectText(t, err.Error(), tt.want)
			u.expectState(t, StateCurrent)
		})
	}
}

// TestUpgrade_PlainProgramThatClosesTheHandoverSocket, which it does not know: its SIGTERM says that it is ready.
func TestUpgrade_PlainProgramThatClosesTheHandoverSocket(t *testing.T) {
	t.Parallel()
	var u *Upgrader
	end := make(chan struct{})
	u = playNew(t, func(f *playedNew) {
		must(t, f.ctl.Close())
		u.post(func(l *lifecycle) { l.signal(syscall.SIGTERM) })
		<-end
	})
	res := u.expectUpgrade(t, nil)
	expectEqual(t, "it is plain", res.Plain, true)
	close(end)
	u.expectDone(t, nil)
}

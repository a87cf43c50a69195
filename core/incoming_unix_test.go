//go:build unix

package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
)

// The same classes of faults as in outgoing_unix_test.go, against an old process that a test plays.

// longProbation is a commit whose probation does not end by itself.
var longProbation = wire.CommitMsg{DrainMillis: 1000, ProbationMillis: 60000}

// TestTaking_AloneStartsNoNext: a process that has taken over because its old one stands still starts
// no next process before that has said where it stands: the two could hand over to different ones.
func TestTaking_AloneStartsNoNext(t *testing.T) {
	t.Parallel()
	if !proctest.Apart(t) {
		return
	}
	u, old := playOld(t)
	addr := u.AttachTest(t, notFound())
	must(t, <-old.hearsReady(u)) // after parentWait
	old.hears(wire.Confirmed)
	u.expectUpgrade(t, ErrInProgress)
	expectServes(t, addr)
	old.says(wire.Confirm, wire.CommitMsg{DrainMillis: 1000})
	proctest.Await(t, "it is free after confirm", func() bool { return !errors.Is(u.tryUpgrade(t), ErrInProgress) })
}

// tryUpgrade begins an upgrade and gives it up at once.
func (u *Upgrader) tryUpgrade(t *testing.T) error {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := upgradeRequest{ctx: ctx, reply: make(chan upgradeReply, 1)} // Upgrade itself would refuse such a context
	u.post(func(l *lifecycle) { l.upgrade(req) })
	if r, ok := awaitReply(u, req.reply); ok {
		return r.err
	}
	return ErrStopped
}

// TestTaking_SettledComesFirst: a process says that the old one is not to serve again before it stops, and
// not when it is broken: then it asks that one to serve.
func TestTaking_SettledComesFirst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stop stopRequest
		want wire.Type
	}{
		"asked to stop": {stopRequest{}, wire.Settled},
		"broken":        {stopRequest{err: errors.New("the listener broke"), now: true}, wire.Reject},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, old := playCurrent(t, notFound())
			u.requestStop(tt.stop)
			old.hears(tt.want)
			awaitClosed(t, u.Done()) // without an answer
		})
	}
}

// otherPIDFile is a pid file that names another process, and a check that it still does.
func otherPIDFile(t *testing.T) (path string, expectKept func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "app.pid")
	must(t, os.WriteFile(path, []byte("4711\n"), 0o644))
	return path, func() {
		t.Helper()
		if b, err := os.ReadFile(path); string(b) != "4711\n" {
			t.Errorf("the pid file has %q, %v: the old process serves", b, err)
		}
	}
}

// TestTaking_WordsAfterACommitComeLater: a process that has stood still finds commit, connections and abort
// at once. It is current first, since nobody else can answer the connections, and is rolled back then.
func TestTaking_WordsAfterACommitComeLater(t *testing.T) {
	t.Parallel()
	pidFile, expectKept := otherPIDFile(t)
	u, old := playOld(t, WithPIDFile(pidFile))
	old.saysAtOnce(word{wire.Commit, longProbation}, word{wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("bad")}})
	awaitClosed(t, u.inherited.old.Aborted)
	proctest.Await(t, "abort is heard", func() (heard bool) {
		must(t, u.request(func(l *lifecycle) error {
			heard = len(l.incoming.waiting) > 0 || l.incoming.machine.Phase != handover.NewWaiting
			return nil
		}))
		return heard
	})
	must(t, u.Ready())
	u.expectDone(t, ErrAborted)
	expectKept()
}

// TestTaking_TheOldProcessIsCountedOut: the service manager hears that no older process is left, in
// whichever order its end and its number come.
func TestTaking_TheOldProcessIsCountedOut(t *testing.T) {
	t.Parallel()
	u, old := playCurrent(t, notFound())
	dir, err := os.MkdirTemp("", "gx")
	must(t, err)
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer c.Close()
	must(t, u.request(func(l *lifecycle) error {
		l.manager = sdnotify.ServiceAt(sdnotify.At(path), u.log)
		must(t, old.ctl.Close())
		<-u.inherited.old.Gone // and its end is in the inbox
		l.olderChanged()
		return nil
	}))
	want := fmt.Sprintf("generation %d, serving", u.generation)
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	for b, n := make([]byte, 4096), 0; !strings.HasSuffix(string(b[:n]), want); {
		n, err = c.Read(b)
		must(t, err)
	}
}

// TestTaking_AbortOfADeadProcessIsNone: an old process that says that it serves again, and is killed, does
// not; but a service that stops has stopped.
func TestTaking_AbortOfADeadProcessIsNone(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]handover.NewEvent{
		"it would have served": handover.AbortDead, "the service stops": handover.AbortStop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, old := playOld(t)
			old.handsOver(u, longProbation)
			if e == handover.AbortStop { // what Hear does with such a word
				close(u.inherited.old.Aborted)
			}
			u.oldHandler(u.inherited.old).Aborted(e)
			must(t, old.ctl.Close())
			if e == handover.AbortStop {
				awaitClosed(t, u.Done())
				return
			}
			awaitClosed(t, u.inherited.old.Gone)
			if err := u.tryUpgrade(t); errors.Is(err, ErrInProgress) || errors.Is(err, ErrStopped) {
				t.Errorf("Upgrade = %v", err)
			}
			u.expectState(t, StateCurrent)
		})
	}
}

// TestTaking_PIDFileOfADeadProcessIsTakenOver: the old process may have been killed right after it took the
// service back in the pid file, and before it said so.
func TestTaking_PIDFileOfADeadProcessIsTakenOver(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	_, old := playCurrent(t, notFound(), WithPIDFile(pidFile))
	must(t, os.WriteFile(pidFile, []byte("4711\n"), 0o644))
	must(t, old.ctl.Close())
	awaitPIDFile(t, pidFile)
}

// TestTaking_SeesOffAnewAfterAWord: the time of an old process that had stood still begins with its word.
func TestTaking_SeesOffAnewAfterAWord(t *testing.T) {
	t.Parallel()
	_, theirs := controlPair(t)
	p := peer.NewOld(theirs)
	l := newLifecycle(&Upgrader{inherited: &inheritance{old: p}, phase: newPhase()})
	l.incoming.seesOff, l.incoming.drain = true, time.Hour
	l.seeOffOld()
	l.seeOffOld() // nobody is held up
	expectEqual(t, "words for those that wait for its end", len(p.Drains), 1)
	expectEqual(t, "it has", <-p.Drains, l.incoming.drain)
}

// TestTaking_SeesOffWithoutAWordTooEarly: the old process is given no word that could be the operator's
// before it has said that it has drained, and none at all once it may serve again, even if that is yet to be
// read.
func TestTaking_SeesOffWithoutAWordTooEarly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begin func(p *peer.Old, old net.Conn) // before it is to go; nil: nothing
		end   func(p *peer.Old)               // while it goes; nil: nothing
		late  func(p *peer.Old)               // what is heard when it is to get a signal; nil: nothing
		want  syscall.Signal                  // that ends it; 0: none
	}{
		"it drains":            {want: syscall.SIGKILL},
		"it has drained":       {begin: func(p *peer.Old, _ net.Conn) { close(p.Drained) }, want: syscall.SIGTERM},
		"it is asked to serve": {begin: func(p *peer.Old, _ net.Conn) { close(p.Drained); p.KeepAlive() }},
		"it drains, and is asked to serve at the last moment": {late: (*peer.Old).KeepAlive},
		"it has drained at the last moment":                   {late: func(p *peer.Old) { close(p.Drained) }, want: syscall.SIGTERM},
		"it has drained, and its drain is confirmed late": {
			begin: func(p *peer.Old, _ net.Conn) { close(p.Drained) },
			late:  func(p *peer.Old) { p.Drains <- time.Hour }, want: syscall.SIGTERM,
		},
		"it had stood still, and drains since the last moment": {end: func(p *peer.Old) {
			time.Sleep(2 * timing.Kill) // if that is too short, less is tried
			close(p.Gone)
		}, late: func(p *peer.Old) { p.Drains <- time.Hour }},
		"it has said that it serves": {begin: func(p *peer.Old, old net.Conn) {
			close(p.Drained)
			_, err := old.Write([]byte("abort"))
			must(t, err)
		}, end: func(p *peer.Old) {
			time.Sleep(20 * time.Millisecond) // as before
			close(p.Aborted)
		}},
		"it had stood still, and drains": {begin: func(p *peer.Old, _ net.Conn) { p.Drains <- time.Hour }, end: func(p *peer.Old) {
			time.Sleep(2 * timing.Kill) // as before
			close(p.Gone)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process, ours, p := startSleeper(t)
			u := &Upgrader{phase: newPhase(), log: slog.New(slog.DiscardHandler)}
			if tt.begin != nil {
				tt.begin(p, ours)
			}
			settle := sync.OnceFunc(func() {
				if tt.late != nil {
					tt.late(p)
				}
			})
			limit := -timing.Kill // at once
			if len(p.Drains) > 0 {
				limit /= 2
			}
			seen := make(chan struct{})
			go func() { defer close(seen); p.SeeOff(limit, u.phase.done, settle, u.log) }()
			if tt.end != nil {
				tt.end(p)
			}
			if tt.want == 0 {
				awaitClosed(t, seen)
				expectEqual(t, "it was killed", proc.Zombie(p.PID()), false)
				must(t, process.Process.Kill())
				tt.want = syscall.SIGKILL
			}
			_ = process.Wait()
			close(u.phase.done)
			expectEqual(t, "the end", process.ProcessState.Sys().(syscall.WaitStatus).Signal(), tt.want)
		})
	}
}

// TestReady_WaitsForAWordThatIsNotHeard: an old process that has answered, while this one stood still, hands over.
func TestReady_WaitsForAWordThatIsNotHeard(t *testing.T) {
	t.Parallel()
	ours, theirs := controlPair(t)
	p := peer.NewOld(theirs)
	_, err := ours.Write([]byte("commit")) // nobody reads it in this test
	must(t, err)
	u := &Upgrader{phase: newPhase()}
	time.AfterFunc(timing.Word+time.Second/2, func() { close(p.Committed) })
	expectEqual(t, "why it does not wait any more", u.awaitAnswer(p), "")
}

// startSleeper starts a process that ends with the test, and returns its end of a handover socket.
func startSleeper(t *testing.T) (process *exec.Cmd, ours net.Conn, old *peer.Old) {
	t.Helper()
	process = exec.Command("sleep", "300")
	must(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill() }) // if the test gives up before
	ours, theirs := controlPair(t)
	old = peer.NewOld(theirs)
	must(t, wire.Write(ours, wire.Welcome, wire.WelcomeMsg{PID: process.Process.Pid}))
	_, err := old.Welcome()
	must(t, err)
	return process, ours, old
}

// TestTaking_WorkWaitsForTheEndOfTheOldProcess, which can't be understood any more and lives.
func TestTaking_WorkWaitsForTheEndOfTheOldProcess(t *testing.T) {
	t.Parallel()
	works := make(chan struct{})
	process, ours, p := startSleeper(t)
	u, old := playOldAt(t, ours, p, WhileCurrent(func(ctx context.Context) error {
		close(works)
		<-ctx.Done()
		return nil
	}))
	u.AttachTest(t, notFound())
	old.handsOver(u, wire.CommitMsg{DrainMillis: 1000})
	old.writes("no frame")
	awaitClosed(t, p.Gone)
	for range 2 { // after the first one the lifecycle looks at its work
		must(t, u.request(func(l *lifecycle) error {
			expectEqual(t, "it works", l.u.background.returned != nil, false)
			return nil
		}))
	}
	must(t, process.Process.Kill())
	_ = process.Wait()
	awaitClosed(t, works)
}

//go:build unix

package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// The classes of faults that the model of the handover has found (docs/model.md), each on the real
// lifecycle, against a new process that a test plays. None needs luck.

// TestHandover_NothingIsGivenUpUnacknowledged: a new process that has answered the last ping, or
// has read confirm or a commit for good, and ends before it says that it serves, has changed nothing.
func TestHandover_NothingIsGivenUpUnacknowledged(t *testing.T) {
	t.Parallel()
	const short = 50 * time.Millisecond
	confirmed := func(then func(f *playedNew)) func(*playedNew) {
		return func(f *playedNew) {
			f.goesOnProbation()
			f.passesProbation()
			then(f)
		}
	}
	killed := func(f *playedNew) { f.ends("signal: killed") }
	for name, tt := range map[string]struct {
		probation time.Duration
		play      func(f *playedNew)
	}{
		"it ends right after the last pong": {short, func(f *playedNew) {
			f.goesOnProbation()
			f.awaits(wire.Ping) // there may be more: each can be the last one
			f.says(wire.Pong, nil)
			killed(f)
		}},
		"it has read confirm": {short, confirmed(killed)},
		"it has read a commit for good": {0, func(f *playedNew) {
			f.getsReady(wire.ReadyMsg{})
			f.awaits(wire.Commit)
			killed(f)
		}},
		"it rejects itself after confirm": {short, confirmed(func(f *playedNew) {
			f.says(wire.Reject, wire.Because("too late for a probation"))
			f.awaits(wire.Abort)
			f.ends("exit status 1")
		})},
		// It may go on with what it was told, so it is killed.
		"it says nothing to confirm": {short, confirmed((*playedNew).isKilled)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := playNew(t, tt.play, WithProbation(tt.probation))
			u.expectUpgrade(t, ErrRolledBack)
			u.expectAccepts(t)
		})
	}
}

// TestHandover_LastLookIsAnAnswer: a new process that stands still when nothing is left of the drain may have a SIGKILL
// on its way. The old one is there to serve again.
func TestHandover_LastLookIsAnAnswer(t *testing.T) {
	t.Parallel()
	u := playNew(t, func(f *playedNew) {
		f.goesOnProbation()
		f.passesProbation()
		f.says(wire.Confirmed, nil)
		f.awaits(wire.Older) // from here on a ping is the last look
		f.awaits(wire.Ping)
		f.ends("signal: killed")
	}, WithProbation(time.Millisecond))
	u.expectUpgrade(t, nil)
	u.expectAccepts(t)
}

// holdsUp accepts a connection, which holds up the drain until it is closed.
func (u *Upgrader) holdsUp(t *testing.T) (l *listener, held net.Conn) {
	t.Helper()
	l = u.listens()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	held, err = l.Accept()
	must(t, err)
	return l, held
}

// TestHandover_LastLookWaitsForRoom: a new process that stands still may have left the handover socket full, so that it
// can't be asked.
func TestHandover_LastLookWaitsForRoom(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	u := playNew(t, func(f *playedNew) {
		f.goesOnProbation()
		f.passesProbation()
		f.says(wire.Confirmed, nil)
		f.awaits(wire.Older)
		<-end
		f.ends("signal: killed")
	}, WithProbation(time.Millisecond))
	_, held := u.holdsUp(t)
	u.expectUpgrade(t, nil)
	<-u.Draining()
	var err error
	for err == nil {
		err = u.next.Say(wire.Moved, wire.MovedMsg{}, 10*time.Millisecond)
	}
	expectEqual(t, "why no more can be said", errors.Is(err, os.ErrDeadlineExceeded), true)
	must(t, held.Close())
	select {
	case <-u.Done():
		t.Fatal("it has ended without an answer")
	case <-time.After(2 * timing.Say): // more than one attempt to ask
	}
	close(end)
	u.expectAccepts(t)
}

// TestHandover_EndInTheDrainIsTheWayBack: when a new process ends while the old one drains, the old one
// accepts again; what had to leave leaves, what comes has a new channel, and the next upgrade drains anew.
func TestHandover_EndInTheDrainIsTheWayBack(t *testing.T) {
	t.Parallel()
	for name, settles := range map[string]bool{"it ends": false, "the service was its own": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end, runs := make(chan struct{}), 0
			pidFile := filepath.Join(t.TempDir(), "app.pid")
			u := playNew(t, func(f *playedNew) {
				runs++
				f.goesOnProbation()
				f.passesProbation()
				f.says(wire.Confirmed, nil)
				f.awaits(wire.Older)
				if runs == 2 {
					f.outlives()
					return
				}
				<-end
				if settles {
					f.says(wire.Settled, nil)
				}
				f.ends("signal: killed")
			}, WithProbation(time.Millisecond), WithPIDFile(pidFile))
			l, held := u.holdsUp(t)
			u.expectUpgrade(t, nil)
			<-u.Draining()
			if !settles { // the deadline is near, and has come
				u.conns.EnterLastStretch(nil)
				u.conns.Close(nil)
			}
			close(end)
			if settles {
				awaitClosed(t, l.closed)
				must(t, held.Close())
				u.expectDone(t, nil)
				return
			}
			u.expectAccepts(t)
			expectEqual(t, "it is told to leave", isClosed(u.Draining()) || u.phase.asksToLeave.Load(), false)
			expectEqual(t, "it takes more in", !u.conns.InLastStretch() && u.conns.AddSocket(nil), true)
			u.conns.RemoveSocket(nil)
			pid, err := pidfile.Read(pidFile)
			must(t, err)
			expectEqual(t, "the pid file", pid, os.Getpid())
			u.expectUpgrade(t, nil)
			<-u.Draining()
			must(t, held.Close())
			u.expectDone(t, nil)
		})
	}
}

// TestHandover_EndedProcessIsYetToBeHeard: the old process does not decide by itself that a new one which is
// not there has ended. That may have said something last, and its end is about to be heard.
func TestHandover_EndedProcessIsYetToBeHeard(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]func(l *lifecycle){
		"when nothing is left to drain": func(l *lifecycle) { l.lastLook(l.drainer, l.outgoing) },
		"at the first look":             (*lifecycle).looked,
		"while it has a word": func(l *lifecycle) {
			for range 5 {
				l.looked()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := controlPair(t)
			_, err := theirs.Write(frames(t, word{wire.Hello, nil}, word{wire.Ready, nil}, word{wire.Settled, nil}))
			must(t, err)
			f := &playedNew{ended: make(chan string, 1)}
			f.ended <- "exit status 0"
			next := peer.Follow("app", f, ours, func(bool) {})
			defer next.Frames.Mute()
			<-next.Exited
			h := &outgoing{machine: handover.Old{Phase: handover.OldDraining}, next: next}
			h.watch()
			defer h.endWatch()
			d := &drainer{released: make(chan struct{})}
			look(&lifecycle{outgoing: h, drainer: d})
			expectEqual(t, "the phase", h.machine.Phase, handover.OldDraining)
			expectEqual(t, "it is decided", h.heardOut || isClosed(d.released), false)
		})
	}
}

// TestHandover_StopAfterTheWayBack: a process that has taken the service back stops when it is asked to, as
// before, by its http.Server too.
func TestHandover_StopAfterTheWayBack(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	u := playNew(t, func(f *playedNew) {
		f.goesOnProbation()
		f.passesProbation()
		f.says(wire.Confirmed, nil)
		<-end
		f.ends("signal: killed")
	}, WithProbation(time.Millisecond))
	var hooks atomic.Int32
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			close(end)
			for u.State() != StateCurrent && r.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
		}
	})}
	srv.RegisterOnShutdown(func() { hooks.Add(1) })
	ln := u.listens()
	must(t, u.Attach(srv, ln))
	c := rawhttp.Dial(t, ln.Addr().String())
	c.Send("GET /held HTTP/1.1\r\n")
	proctest.Await(t, "the request has begun", func() bool { return u.Status().Ledger.Open.Requests > 0 })
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		defer c.Close()
		<-u.Draining()
		c.Send("Host: here\r\n\r\n")
		c.Answer()
	}()
	u.expectUpgrade(t, nil)
	<-answered
	expectServes(t, ln.Addr().String())
	before := hooks.Load() // of the drain that was undone, if it came that far
	must(t, srv.Shutdown(t.Context()))
	u.expectDone(t, nil)
	proctest.Await(t, "the program's Shutdown has run its hook", func() bool { return hooks.Load() > before })
}

// TestHandover_SettledHoldsAlways: a new process that has had the service while the old one stood still,
// and was asked to stop it, has stopped the service, whatever the old one believes of it by then.
func TestHandover_SettledHoldsAlways(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(f *playedNew){
		"on probation":              (*playedNew).goesOnProbation,
		"after a rollback":          (*playedNew).rejectsItself,
		"when it has ended already": func(f *playedNew) { f.getsReady(wire.ReadyMsg{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := playNew(t, func(f *playedNew) {
				begin(f)
				f.says(wire.Settled, nil)
			}, WithProbation(time.Minute), OnPostFork(func(context.Context, int) { time.Sleep(20 * time.Millisecond) }))
			_, _ = u.Upgrade(t.Context())
			u.expectDone(t, nil)
		})
	}
}

// TestHandover_StopIsSaidFirst: a process that is asked to stop while a new one starts says so at once,
// and that it is a stop: it may be killed before it has given the new one up.
func TestHandover_StopIsSaidFirst(t *testing.T) {
	t.Parallel()
	heard := make(chan wire.AbortMsg, 1)
	u := playNew(t, func(f *playedNew) {
		f.says(wire.Hello, nil)
		go func() { must(t, running.Load().Stop(t.Context())) }()
		var msg wire.AbortMsg
		must(t, f.awaits(wire.Abort).Decode(&msg))
		heard <- msg
		f.obeys()
	})
	u.expectUpgrade(t, ErrStopped)
	expectEqual(t, "it is a stop", (<-heard).Stop, true)
	<-u.Done()
}

// TestHandover_ReadyProcessGetsNoSignal: SIGTERM to a process that may have the service would be the
// operator's word. It is told, and killed when its time is over.
func TestHandover_ReadyProcessGetsNoSignal(t *testing.T) {
	t.Parallel()
	if !proctest.Apart(t) {
		return
	}
	u := playNew(t, func(f *playedNew) {
		f.goesOnProbation()
		f.awaits(wire.Abort)
		f.isKilled()
	}, WithProbation(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for u.State() != StateProbation && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := u.Upgrade(ctx)
	expectError(t, err, ErrRolledBack)
	expectError(t, err, context.Canceled)
	u.expectAccepts(t)
}

// TestHandover_PIDFileIsKeptFromOneThatLeaves: a new process that is given up may remove the pid file long
// before it ends, and write it late.
func TestHandover_PIDFileIsKeptFromOneThatLeaves(t *testing.T) {
	t.Parallel()
	pidFile, written := filepath.Join(t.TempDir(), "app.pid"), make(chan struct{})
	u := playNew(t, func(f *playedNew) {
		defer close(written)
		f.rejectsItself()
		awaitPIDFile(t, pidFile)
		must(t, os.Remove(pidFile))
		for back := false; !back; {
			f.hears(wire.Ping)
			f.says(wire.Pong, nil)
			_, err := os.Stat(pidFile)
			back = err == nil
		}
		must(t, pidfile.Write(pidFile, f.PID()))
	}, WithProbation(time.Minute), WithPIDFile(pidFile))
	u.expectUpgrade(t, ErrRolledBack)
	<-written
	awaitPIDFile(t, pidFile)
}

// awaitPIDFile waits until the pid file names this process.
func awaitPIDFile(t *testing.T, path string) {
	t.Helper()
	proctest.Await(t, "the pid file names the process that serves", func() bool {
		pid, err := pidfile.Read(path)
		return err == nil && pid == os.Getpid()
	})
}

// TestStop_AtTheHandoverIsForGood: a program that asks for its stop in the moment in which the new process
// gets ready hands over for good.
func TestStop_AtTheHandoverIsForGood(t *testing.T) { // not beside others: the new process has timing.Exit to be ready
	asked := make(chan struct{})
	u := playNew(t, func(f *playedNew) {
		<-asked // the stop is held for the moment in which it may be a plain process's "ready"
		f.goesOnProbation()
		f.awaits(wire.Confirm)
		f.serves()
	}, WithProbation(time.Minute), OnPostFork(func(ctx context.Context, _ int) {
		u := running.Load()
		u.requestStop(stopRequest{}) // as Stop does
		_, err := u.Upgrade(ctx)     // answered after it was heard
		expectError(t, err, ErrInProgress)
		close(asked)
	}))
	u.expectUpgrade(t, nil)
	u.expectDone(t, nil)
}

//go:build unix

package core

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// The classes of faults that the model of the handover has found (docs/model.md), each on the real
// lifecycle, against a process that a test plays. None needs luck.

// passesProbation answers pings until the old process says confirm.
func (f *fake) passesProbation(t *testing.T) {
	t.Helper()
	for {
		switch fr := f.hear(t); fr.Type {
		case wire.Ping:
			f.say(t, wire.Pong, nil)
		case wire.Confirm:
			return
		default:
			t.Errorf("it heard %v", fr.Type)
		}
	}
}

// ends is the end of a process by itself.
func (f *fake) ends(how string) {
	f.ended <- how
	f.ctl.Close()
}

// TestHandover_NothingIsGivenUpUnacknowledged: a new process that has answered the last ping, or
// has read confirm or a commit for good, and ends before it says that it serves, has changed nothing.
func TestHandover_NothingIsGivenUpUnacknowledged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		probation time.Duration
		play      func(t *testing.T, f *fake)
	}{
		"it ends right after the last pong": {50 * time.Millisecond, func(t *testing.T, f *fake) {
			f.goesOnProbation(t)
			f.await(t, wire.Ping) // there may be more: each can be the last one
			f.say(t, wire.Pong, nil)
			f.ends("signal: killed")
		}},
		"it has read confirm": {50 * time.Millisecond, func(t *testing.T, f *fake) {
			f.goesOnProbation(t)
			f.passesProbation(t)
			f.ends("signal: killed")
		}},
		"it has read a commit for good": {0, func(t *testing.T, f *fake) {
			f.say(t, wire.Hello, nil)
			f.say(t, wire.Ready, nil)
			f.await(t, wire.Commit)
			f.ends("signal: killed")
		}},
		"it rejects itself after confirm": {50 * time.Millisecond, func(t *testing.T, f *fake) {
			f.goesOnProbation(t)
			f.passesProbation(t)
			f.say(t, wire.Reject, wire.Because("too late for a probation"))
			f.await(t, wire.Abort)
			f.ends("exit status 1")
		}},
		"it says nothing to confirm": {50 * time.Millisecond, func(t *testing.T, f *fake) {
			f.goesOnProbation(t)
			f.passesProbation(t)
			if sig := <-f.signals; sig != os.Kill {
				t.Errorf("%v for a process that may go on with what it was told", sig)
			}
			f.ends("signal: killed")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newFake(t, func(f *fake) { tt.play(t, f) }, WithProbation(tt.probation))
			if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrRolledBack) {
				t.Errorf("Upgrade = %v", err)
			}
			if u.State() != StateCurrent {
				t.Errorf("state %v", u.State())
			}
			u.acceptsAgain(t)
		})
	}
}

// TestHandover_EndInTheDrainIsTheWayBack: a new process that ends while the old one drains has the
// old one accept again; what had to leave leaves, what comes has a new channel, and the next
// upgrade drains anew.
func TestHandover_EndInTheDrainIsTheWayBack(t *testing.T) {
	t.Parallel()
	for name, settles := range map[string]bool{"it ends": false, "the service was its own": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end, runs := make(chan struct{}), 0
			pidFile := filepath.Join(t.TempDir(), "app.pid")
			u := newFake(t, func(f *fake) {
				runs++
				f.goesOnProbation(t)
				f.passesProbation(t)
				f.say(t, wire.Confirmed, nil)
				f.await(t, wire.Older)
				if runs == 1 {
					<-end
					if settles {
						f.say(t, wire.Settled, nil)
					}
					f.ends("signal: killed")
					return
				}
				f.await(t, wire.Drained)
				f.ends("fine")
			}, WithProbation(time.Millisecond), WithPIDFile(pidFile))
			l := u.listens()
			c, err := net.Dial("tcp", l.Addr().String())
			must(t, err)
			defer c.Close()
			held, err := l.Accept() // holds up the drain
			must(t, err)
			if _, err := u.Upgrade(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-u.Draining()
			if !settles { // the deadline is near, and has come
				u.conns.EnterLastStretch(nil)
				u.conns.Close(nil)
			}
			close(end)
			if settles {
				awaitClosed(t, l.closed)
				must(t, held.Close())
				<-u.Done()
				must(t, u.Err())
				return
			}
			u.acceptsAgain(t)
			if isClosed(u.Draining()) || u.State() != StateCurrent || u.phase.asksToLeave.Load() {
				t.Errorf("it is told to leave in a process that serves again; state %v", u.State())
			}
			if u.conns.InLastStretch() || !u.conns.AddSocket(nil) {
				t.Error("it takes nothing in, as at the end of a drain")
			}
			u.conns.RemoveSocket(nil)
			if b, _ := os.ReadFile(pidFile); strings.TrimSpace(string(b)) != strconv.Itoa(os.Getpid()) {
				t.Errorf("the pid file has %q", b)
			}
			if _, err := u.Upgrade(t.Context()); err != nil {
				t.Fatal(err)
			}
			<-u.Draining()
			must(t, held.Close())
			<-u.Done()
			must(t, u.Err())
		})
	}
}

func awaitClosed(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatal("it is not closed")
	}
}

// endedNext is a new process that has ended.
func endedNext(t *testing.T) *peer.Next {
	ours, _ := controlPair(t)
	f := &fake{ended: make(chan string, 1)}
	f.ended <- "exit status 0"
	next := peer.Follow("app", f, ours, new(atomic.Bool))
	<-next.Exited
	return next
}

// TestHandover_LastLook: an old process that has nothing left does not end when the new one is not
// there: its end is about to be heard.
func TestHandover_LastLook(t *testing.T) {
	t.Parallel()
	h := &outgoing{machine: handover.Old{Phase: handover.OldDraining}, next: endedNext(t)}
	d := &drainer{released: make(chan struct{})}
	l := &lifecycle{outgoing: h, drainer: d}
	l.lastLook(d, h)
	if h.machine.Phase != handover.OldDraining || isClosed(d.released) {
		t.Errorf("the way back is closed: %v", h.machine.Phase)
	}
}

// TestHandover_LooksTwice: a new process that is not there at the first look may have said something last.
func TestHandover_LooksTwice(t *testing.T) {
	t.Parallel()
	h := &outgoing{machine: handover.Old{Phase: handover.OldDraining}, next: endedNext(t)}
	l := &lifecycle{outgoing: h}
	l.looked()
	if h.machine.Phase != handover.OldDraining || h.heardOut {
		t.Errorf("it is decided: %v", h.machine.Phase)
	}
}

// TestHandover_AfterTheWayBack: a process that has taken the service back stops when it is asked to, as
// before, by its http.Server too.
func TestHandover_AfterTheWayBack(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	u := newFake(t, func(f *fake) {
		f.goesOnProbation(t)
		f.passesProbation(t)
		f.say(t, wire.Confirmed, nil)
		<-end
		f.ends("signal: killed")
	}, WithProbation(time.Millisecond))
	var hooks atomic.Int32
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
	held := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			defer c.Close()
			_, err = c.Write([]byte("GET /held HTTP/1.1\r\n")) // a request has begun
			close(started)
			<-u.Draining()
			if err == nil {
				_, err = c.Write([]byte("Host: here\r\n\r\n"))
			}
			if err == nil {
				_, err = http.ReadResponse(bufio.NewReader(c), nil)
			}
		}
		held <- err
	}()
	<-started
	for end := time.Now().Add(patience); u.Status().Ledger.Open.Requests == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the request has not begun")
		}
	}
	if _, err := u.Upgrade(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, <-held)
	resp, err := http.Get("http://" + ln.Addr().String())
	must(t, err)
	must(t, resp.Body.Close())
	before := hooks.Load() // of the drain that was undone, if it came that far
	must(t, srv.Shutdown(t.Context()))
	awaitClosed(t, u.Done())
	must(t, u.Err())
	for end := time.Now().Add(patience); hooks.Load() <= before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the program's Shutdown has run no hook")
		}
	}
}

// TestHandover_SettledHoldsAlways: a new process that has had the service while the old one stood still,
// and was asked to stop it, has stopped the service, whatever the old one believes of it by then.
func TestHandover_SettledHoldsAlways(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(t *testing.T, f *fake){
		"on probation": func(t *testing.T, f *fake) {
			f.goesOnProbation(t)
			f.say(t, wire.Settled, nil)
			f.ends("fine")
		},
		"after a rollback": func(t *testing.T, f *fake) {
			f.goesOnProbation(t)
			f.say(t, wire.Reject, wire.Because("bad"))
			f.await(t, wire.Abort)
			f.say(t, wire.Settled, nil)
			f.ends("fine")
		},
		"when it has ended already": func(t *testing.T, f *fake) {
			f.say(t, wire.Hello, nil)
			f.say(t, wire.Ready, nil)
			f.say(t, wire.Settled, nil)
			f.ends("fine")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newFake(t, func(f *fake) { play(t, f) }, WithProbation(time.Minute),
				OnPostFork(func(context.Context, int) { time.Sleep(20 * time.Millisecond) }))
			_, _ = u.Upgrade(t.Context())
			awaitClosed(t, u.Done())
			must(t, u.Err())
		})
	}
}

// TestHandover_StopIsSaidFirst: a process that is asked to stop while a new one starts says so at once,
// and that it is a stop: it may be killed before it has given the new one up.
func TestHandover_StopIsSaidFirst(t *testing.T) {
	t.Parallel()
	heard := make(chan wire.AbortMsg, 1)
	u := newFake(t, func(f *fake) {
		f.say(t, wire.Hello, nil)
		go func() { must(t, running.Load().Stop(t.Context())) }()
		var msg wire.AbortMsg
		must(t, f.await(t, wire.Abort).Decode(&msg))
		heard <- msg
		<-f.signals
		f.ends("signal: terminated")
	})
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("Upgrade = %v", err)
	}
	if msg := <-heard; !msg.Stop {
		t.Errorf("%+v", msg)
	}
	<-u.Done()
}

// TestHandover_ReadyProcessGetsNoSignal: SIGTERM to a process that may have the service would be the
// operator's word. It is told, and killed when its time is over.
func TestHandover_ReadyProcessGetsNoSignal(t *testing.T) {
	t.Parallel()
	u := newFake(t, func(f *fake) {
		f.goesOnProbation(t)
		f.await(t, wire.Abort)
		if sig := <-f.signals; sig != os.Kill {
			t.Errorf("%v", sig)
		}
		f.ends("signal: killed")
	}, WithProbation(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for end := time.Now().Add(patience); u.State() != StateProbation && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := u.Upgrade(ctx); !errors.Is(err, ErrRolledBack) || !errors.Is(err, context.Canceled) {
		t.Errorf("Upgrade = %v", err)
	}
	u.acceptsAgain(t)
}

// TestHandover_PIDFileOfOneThatLeaves: a new process that is given up may write the pid file late, or
// remove it, long before it ends.
func TestHandover_PIDFileOfOneThatLeaves(t *testing.T) {
	t.Parallel()
	pidFile, played := filepath.Join(t.TempDir(), "app.pid"), make(chan struct{})
	u := newFake(t, func(f *fake) {
		defer close(played)
		f.goesOnProbation(t)
		f.say(t, wire.Reject, wire.Because("bad"))
		f.await(t, wire.Abort)
		for end := time.Now().Add(patience); ; {
			if b, _ := os.ReadFile(pidFile); string(b) == strconv.Itoa(os.Getpid())+"\n" {
				must(t, os.Remove(pidFile))
				break
			}
			if time.Now().After(end) {
				t.Error("the pid file does not name the process that serves again")
				break
			}
			time.Sleep(time.Millisecond)
		}
		for back := false; !back; {
			fr := f.hear(t)
			if fr.Type != wire.Ping {
				t.Errorf("%v", fr.Type)
				break
			}
			f.say(t, wire.Pong, nil)
			_, err := os.Stat(pidFile)
			back = err == nil
		}
		f.ends("exit status 1")
	}, WithProbation(time.Minute), WithPIDFile(pidFile))
	must(t, os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644))
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("Upgrade = %v", err)
	}
	<-played
}

// TestTaking_AloneStartsNoNext: a process that has taken over because its old one stands still starts
// no next process before that has said where it stands: the two could hand over to different ones.
func TestTaking_AloneStartsNoNext(t *testing.T) {
	t.Parallel()
	u, old := newChild(t)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, u.Attach(&http.Server{Handler: http.NotFoundHandler()}, ln))
	ready := make(chan error, 1)
	go func() { ready <- u.Ready() }()
	old.hears(wire.Ready)
	must(t, <-ready) // after parentWait
	old.hears(wire.Confirmed)
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrInProgress) {
		t.Errorf("Upgrade = %v", err)
	}
	resp, err := http.Get("http://" + ln.Addr().String())
	must(t, err)
	must(t, resp.Body.Close())
	old.says(wire.Confirm, wire.CommitMsg{DrainMillis: 1000})
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := u.Upgrade(ctx); !errors.Is(err, ErrInProgress) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it is not free after confirm")
		}
	}
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
			u, old := newChild(t)
			becomesCurrent(t, u, old)
			u.requestStop(tt.stop)
			old.hears(tt.want)
			awaitClosed(t, u.Done()) // without an answer
		})
	}
}

// TestTaking_WordsAfterACommit: a process that has stood still finds commit, connections and abort at once.
// It is current first, since nobody else can answer the connections, and is rolled back then.
func TestTaking_WordsAfterACommit(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	must(t, os.WriteFile(pidFile, []byte("4711\n"), 0o644))
	u, old := newChild(t, WithPIDFile(pidFile))
	old.saysAtOnce(
		word{wire.Commit, wire.CommitMsg{DrainMillis: 1000, ProbationMillis: 60000}},
		word{wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("bad")}})
	awaitClosed(t, u.inherited.old.Aborted)
	for end, heard := time.Now().Add(patience), false; !heard; {
		must(t, u.request(func(l *lifecycle) error {
			heard = len(l.incoming.waiting) > 0 || l.incoming.machine.Phase != handover.NewWaiting
			return nil
		}))
		if time.Now().After(end) {
			t.Fatal("abort is not heard")
		}
	}
	if err := u.Ready(); err != nil {
		t.Errorf("Ready = %v", err)
	}
	awaitClosed(t, u.Done())
	if b, err := os.ReadFile(pidFile); string(b) != "4711\n" {
		t.Errorf("the pid file has %q, %v: the old process serves", b, err)
	}
	if err := u.Err(); !errors.Is(err, ErrAborted) {
		t.Errorf("Err = %v", err)
	}
}

// TestTaking_TheOldProcessIsCountedOut: the service manager hears that no older process is left, in
// whichever order its end and its number come.
func TestTaking_TheOldProcessIsCountedOut(t *testing.T) {
	t.Parallel()
	u, old := newChild(t)
	becomesCurrent(t, u, old)
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

// TestTaking_AbortOfTheDead: an old process that says that it serves again, and is killed, does not.
func TestTaking_AbortOfTheDead(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]bool{"it would have served": false, "the service stops": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, old := newChild(t)
			ready := make(chan error, 1)
			go func() { ready <- u.Ready() }()
			old.hears(wire.Ready)
			old.says(wire.Commit, wire.CommitMsg{DrainMillis: 1000, ProbationMillis: 60000})
			must(t, <-ready)
			b, err := wire.Append(nil, wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("bad"), Stop: stop})
			must(t, err)
			f, err := wire.Read(strings.NewReader(string(b)))
			must(t, err)
			must(t, old.ctl.Close())
			_ = u.inherited.old.Hear(f, u.oldHandler(u.inherited.old)) // as follow does, which may have read it before the end
			if stop {
				awaitClosed(t, u.Done())
				return
			}
			awaitClosed(t, u.inherited.old.Gone)
			if _, err := u.Upgrade(canceled(t)); errors.Is(err, ErrInProgress) || errors.Is(err, ErrStopped) {
				t.Errorf("Upgrade = %v", err)
			}
			if u.State() != StateCurrent {
				t.Errorf("state %v", u.State())
			}
		})
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestTaking_PIDFileOfADeadOldProcess: the old process may have been killed right after it took the
// service back in the pid file, and before it said so.
func TestTaking_PIDFileOfADeadOldProcess(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	u, old := newChild(t, WithPIDFile(pidFile))
	becomesCurrent(t, u, old)
	must(t, os.WriteFile(pidFile, []byte("4711\n"), 0o644))
	must(t, old.ctl.Close())
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if b, _ := os.ReadFile(pidFile); strings.TrimSpace(string(b)) == strconv.Itoa(os.Getpid()) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the pid file does not name the process that serves")
		}
	}
}

// TestTaking_SeesOffAnew: the time of an old process that had stood still begins with its word.
func TestTaking_SeesOffAnew(t *testing.T) {
	t.Parallel()
	_, theirs := controlPair(t)
	p := peer.NewOld(theirs)
	l := newLifecycle(&Upgrader{inherited: &inheritance{old: p}, phase: newPhase()})
	l.incoming.seesOff, l.incoming.drain = true, time.Hour
	l.seeOffOld()
	l.seeOffOld() // nobody is held up
	select {
	case d := <-p.Drains:
		if d != l.incoming.drain {
			t.Errorf("it has %v", d)
		}
	default:
		t.Error("who waits for its end does not know")
	}
}

// TestTaking_SeesOff: the old process is given no word that could be the operator's before it has said
// that it has drained, and none at all once it may serve again, even if that is yet to be read.
func TestTaking_SeesOff(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begin func(p *peer.Old, old net.Conn) // before it is to go
		end   func(p *peer.Old)               // while it goes; nil: nothing
		want  syscall.Signal                  // that ends it; 0: none
	}{
		"it drains":            {func(*peer.Old, net.Conn) {}, nil, syscall.SIGKILL},
		"it has drained":       {func(p *peer.Old, _ net.Conn) { close(p.Drained) }, nil, syscall.SIGTERM},
		"it is asked to serve": {func(p *peer.Old, _ net.Conn) { close(p.Drained); p.KeepAlive() }, nil, 0},
		"it has said that it serves": {func(p *peer.Old, old net.Conn) {
			close(p.Drained)
			_, err := old.Write([]byte("abort"))
			must(t, err)
		}, func(p *peer.Old) {
			time.Sleep(20 * time.Millisecond) // if that is too short, less is tried
			close(p.Aborted)
		}, 0},
		"it had stood still, and drains": {func(p *peer.Old, _ net.Conn) { p.Drains <- time.Hour }, func(p *peer.Old) {
			time.Sleep(2 * timing.Kill) // as before
			close(p.Gone)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process := exec.Command("sleep", "300")
			must(t, process.Start())
			t.Cleanup(func() { _ = process.Process.Kill() }) // if the test gives up before
			ours, theirs := controlPair(t)
			p := peer.NewOld(theirs)
			must(t, wire.Write(ours, wire.Welcome, wire.WelcomeMsg{PID: process.Process.Pid}))
			_, err := p.Welcome()
			must(t, err)
			u := &Upgrader{phase: newPhase(), log: slog.New(slog.DiscardHandler)}
			tt.begin(p, ours)
			limit := -timing.Kill // at once
			if len(p.Drains) > 0 {
				limit /= 2
			}
			seen := make(chan struct{})
			go func() { defer close(seen); p.SeeOff(limit, u.phase.done, u.log) }()
			if tt.end != nil {
				tt.end(p)
			}
			if tt.want == 0 {
				awaitClosed(t, seen)
				if proc.Zombie(p.PID()) {
					t.Error("it was killed")
				}
				must(t, process.Process.Kill())
				tt.want = syscall.SIGKILL
			}
			_ = process.Wait()
			close(u.phase.done)
			if got := process.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestStopHeldOverHandover: a program that asks for its stop in the moment in which the
// new process gets ready hands over for good.
func TestStopHeldOverHandover(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	u := newFake(t, func(f *fake) {
		<-asked // the stop is held for the moment in which it may be a plain process's "ready"
		f.goesOnProbation(t)
		f.await(t, wire.Confirm)
		f.say(t, wire.Confirmed, nil)
		f.await(t, wire.Drained)
		f.ended <- "fine"
	}, WithProbation(time.Minute), OnPostFork(func(ctx context.Context, _ int) {
		u := running.Load()
		u.requestStop(stopRequest{})                                  // as Stop does
		if _, err := u.Upgrade(ctx); !errors.Is(err, ErrInProgress) { // answered after it was heard
			t.Errorf("Upgrade = %v", err)
		}
		close(asked)
	}))
	if _, err := u.Upgrade(t.Context()); err != nil {
		t.Errorf("Upgrade = %v", err)
	}
	<-u.Done()
	must(t, u.Err())
}

// TestShortProbation: one that is over at once is still decided by what the new process does.
func TestShortProbation(t *testing.T) {
	t.Parallel()
	u := newFake(t, func(f *fake) {
		f.goesOnProbation(t)
		f.ended <- "signal: " + (<-f.signals).String()
	}, WithProbation(1))
	if _, err := u.Upgrade(t.Context()); err == nil || !strings.Contains(err.Error(), "did not answer for 5s") {
		t.Errorf("Upgrade = %v", err)
	}
}

//go:build unix

package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// goesOnProbation says what a new process says until it is on probation.
func (f *fake) goesOnProbation(t *testing.T) {
	t.Helper()
	f.say(t, wire.Hello, nil)
	f.say(t, wire.Ready, wire.ReadyMsg{Probation: true})
	if f.said != nil {
		close(f.said)
	}
	var msg wire.CommitMsg
	fr := f.hear(t)
	must(t, fr.Decode(&msg))
	if fr.Type != wire.Commit || msg.ProbationMillis == 0 || msg.Again {
		t.Errorf("%v %+v instead of a commit with a probation", fr.Type, msg)
	}
}

// await reads until a frame of the type comes.
func (f *fake) await(t *testing.T, want wire.Type) wire.Frame {
	t.Helper()
	for {
		if fr := f.hear(t); fr.Type == want {
			return fr
		}
	}
}

// TestTrialUnderAttack: whatever a new process on probation says wrong, or does not say,
// the old one accepts again and ends it.
func TestTrialUnderAttack(t *testing.T) {
	t.Parallel()
	raw := func(b string) func(f *fake) {
		return func(f *fake) {
			_, err := f.ctl.Write([]byte(b))
			must(t, err)
		}
	}
	for name, tt := range map[string]struct {
		play func(f *fake)
		want string
		told bool // it hears that it is given up
	}{
		"truncated":           {func(f *fake) { raw("GX\x01\x0d\x00")(f); f.ctl.Close() }, "it closed the handover socket", false},
		"hung up":             {func(f *fake) { f.ctl.Close() }, "it closed the handover socket", false},
		"oversized":           {raw("GX\x01\x0d\xff\xff\xff\xff"), "a payload of 4294967295 bytes", false},
		"garbage":             {raw("GET / HTTP/1.1\r\n\r\n"), "not a gracex frame", false},
		"future version":      {raw("GX\x02\x0d\x00\x00\x00\x00"), "protocol version 2", false},
		"out of order":        {func(f *fake) { f.say(t, wire.Ready, nil) }, "an unexpected ready frame", false},
		"answer to nothing":   {func(f *fake) { f.say(t, wire.Taken, wire.TakenMsg{}) }, "a taken frame that answers nothing", false},
		"its own role":        {func(f *fake) { f.say(t, wire.Ping, nil) }, "an unexpected ping frame", false},
		"rejects itself":      {func(f *fake) { f.say(t, wire.Reject, wire.ReasonMsg{Reason: "bad cache"}) }, "it rejected itself: bad cache", true},
		"rejects with no why": {func(f *fake) { f.say(t, wire.Reject, nil) }, "did not say why", true},
		"silent":              {func(*fake) {}, "it did not answer for 5s", true},
		"ends":                {func(f *fake) { f.ended <- "exit status 7"; f.ctl.Close() }, "it ended on probation (exit status 7", false},
	} {
		t.Run(name, func(t *testing.T) {
			u := newFake(t, func(f *fake) {
				f.goesOnProbation(t)
				tt.play(f)
				if tt.told {
					f.await(t, wire.Abort)
					f.ended <- "exit status 0"
					return
				}
				if name != "ends" {
					f.ended <- "signal: " + (<-f.signals).String()
				}
			}, WithProbation(time.Minute))
			_, err := u.Upgrade(t.Context())
			if !errors.Is(err, ErrRolledBack) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Upgrade = %v, want %q", err, tt.want)
			}
			if u.State() != StateCurrent {
				t.Errorf("state %v", u.State())
			}
			u.acceptsAgain(t)
		})
	}
}

// listens is the program's first listener.
func (u *Upgrader) listens() *listener {
	all := only[*listener](u.passing.all())
	return all[slices.IndexFunc(all, func(l *listener) bool { return l.origin.Network != networkControl })]
}

// acceptsAgain checks that the Upgrader's first listener accepts.
func (u *Upgrader) acceptsAgain(t *testing.T) {
	t.Helper()
	l := u.listens()
	c, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer c.Close()
	nc, err := l.Accept()
	must(t, err)
	must(t, nc.Close())
}

// TestTrialPasses: an answer after its time is what a probation is passed by, or the
// new process's own word. What this version does not know is nothing.
func TestTrialPasses(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(f *fake){
		"answers": func(f *fake) {
			f.say(t, 200, nil)
			for {
				switch fr := f.hear(t); fr.Type {
				case wire.Ping:
					f.say(t, wire.Pong, nil)
				case wire.Confirm:
					f.say(t, wire.Confirmed, nil)
					return
				default:
					t.Errorf("it heard %v", fr.Type)
				}
			}
		},
		"settled": func(f *fake) { f.say(t, wire.Settled, nil) },
		"asked again": func(f *fake) {
			f.say(t, wire.Again, nil)
			f.say(t, wire.Confirmed, nil) // on its own
			var msg wire.CommitMsg
			must(t, f.await(t, wire.Confirm).Decode(&msg))
			if msg.Again || msg.DrainMillis != 1500 { // it remembers that itself
				t.Errorf("%+v", msg)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newFake(t, func(f *fake) {
				f.goesOnProbation(t)
				if u := running.Load(); u.State() != StateProbation {
					t.Errorf("state %v", u.State())
				}
				play(f)
				must(t, f.await(t, wire.Older).Decode(&wire.OlderMsg{}))
				f.await(t, wire.Drained)
				f.ended <- "fine"
			}, WithProbation(50*time.Millisecond), WithDrainTimeout(1500*time.Millisecond))
			if _, err := u.Upgrade(t.Context()); err != nil {
				t.Error(err)
			}
			<-u.Done()
			must(t, u.Err())
		})
	}
}

// TestRecall: a new process that is given up has the time of a stop, as long as it
// answers; else it is killed.
func TestRecall(t *testing.T) {
	t.Parallel()
	killed := make(chan struct{})
	u := newFake(t, func(f *fake) {
		defer close(killed)
		f.goesOnProbation(t)
		f.say(t, wire.Reject, nil)
		f.await(t, wire.Abort)
		for range 2 { // and no signal
			f.await(t, wire.Ping)
			f.say(t, wire.Pong, nil)
		}
		select {
		case sig := <-f.signals:
			t.Errorf("%v for a process that answers", sig)
		default:
		}
		if sig := <-f.signals; sig != syscall.SIGKILL {
			t.Errorf("%v", sig)
		}
		f.ended <- "signal: killed"
	}, WithProbation(time.Minute))
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("Upgrade = %v", err)
	}
	<-killed
}

// TestPIDFileAfterRecall: a new process that stood still writes the pid file after it was
// given up. When it is gone, the file names the old one again.
func TestPIDFileAfterRecall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	written := make(chan struct{})
	u := newFake(t, func(f *fake) {
		f.goesOnProbation(t)
		f.say(t, wire.Reject, nil)
		f.await(t, wire.Abort)
		must(t, pidfile.Write(path, f.PID()))
		close(written)
		f.ended <- "exit status 1"
	}, WithProbation(time.Minute), WithPIDFile(path))
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("Upgrade = %v", err)
	}
	<-written
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if pid, err := pidfile.Read(path); err == nil && pid == os.Getpid() {
			return
		} else if time.Now().After(end) {
			t.Fatalf("the pid file names %d: %v", pid, err)
		}
	}
}

// TestStopDoesNotWaitForTheRecalled: a new process that finishes what it has, and lives,
// does not hold up a stop.
func TestStopDoesNotWaitForTheRecalled(t *testing.T) {
	t.Parallel()
	u := newFake(t, func(f *fake) {
		f.goesOnProbation(t)
		f.say(t, wire.Reject, nil)
		f.await(t, wire.Abort)
		for { // until it is let go
			must(t, f.ctl.SetReadDeadline(time.Now().Add(patience)))
			fr, err := wire.Read(f.ctl)
			if err != nil {
				break
			}
			if fr.Type == wire.Ping {
				_ = wire.Write(f.ctl, wire.Pong, nil)
			}
		}
		f.ended <- "exit status 1"
	}, WithProbation(time.Minute), WithDrainTimeout(time.Hour))
	if _, err := u.Upgrade(t.Context()); !errors.Is(err, ErrRolledBack) {
		t.Errorf("Upgrade = %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- u.Stop(context.Background()) }()
	select {
	case err := <-stopped:
		must(t, err)
	case <-time.After(patience):
		t.Fatal("the stop waits")
	}
}

// TestOldProcessAttacks: whatever the old process says wrong, the new one serves, or
// goes when it is told.
func TestOldProcessAttacks(t *testing.T) {
	t.Parallel()
	onProbation := wire.CommitMsg{DrainMillis: 1000, ProbationMillis: 60000}
	commit := func(o *playedOld) { o.says(wire.Commit, onProbation) }
	confirm, abort := word{wire.Confirm, wire.CommitMsg{DrainMillis: 1000}}, word{wire.Abort, wire.ReasonMsg{Reason: "bad"}}
	for name, tt := range map[string]struct {
		play      func(o *playedOld)
		rollsBack bool
	}{
		"commit that is none":  {func(o *playedOld) { o.says(wire.Commit, "what?") }, false},
		"confirm before all":   {func(o *playedOld) { o.saysAtOnce(word{wire.Confirm, wire.CommitMsg{}}, word{wire.Commit, onProbation}) }, false},
		"confirm that is none": {func(o *playedOld) { commit(o); o.says(wire.Confirm, "what?") }, false},
		"confirm twice":        {func(o *playedOld) { commit(o); o.saysAtOnce(confirm, confirm) }, false},
		"older that are none":  {func(o *playedOld) { commit(o); o.says(wire.Older, "what?") }, false},
		"older below zero":     {func(o *playedOld) { commit(o); o.says(wire.Older, wire.OlderMsg{Older: -1 << 40}) }, false},
		"its own role": {func(o *playedOld) {
			commit(o)
			o.saysAtOnce(word{wire.Pong, nil}, word{wire.Taken, nil}, word{200, nil})
		}, false},
		"oversized":      {func(o *playedOld) { commit(o); _, _ = o.ctl.Write([]byte("GX\x01\x0c\xff\xff\xff\xff")) }, false},
		"future version": {func(o *playedOld) { commit(o); _, _ = o.ctl.Write([]byte("GX\x02\x0c\x00\x00\x00\x00")) }, false},
		"truncated":      {func(o *playedOld) { commit(o); _, _ = o.ctl.Write([]byte("GX\x01")); o.ctl.Close() }, false},
		"abort":          {func(o *playedOld) { commit(o); o.says(wire.Abort, wire.ReasonMsg{Reason: "bad"}) }, true},
		"abort twice":    {func(o *playedOld) { commit(o); o.saysAtOnce(abort, abort) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			u, old := newChild(t, WithDrainTimeout(time.Second))
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			must(t, u.Attach(&http.Server{Handler: http.NotFoundHandler()}, ln))
			said := make(chan struct{})
			go func() {
				old.hears(wire.Ready)
				tt.play(old)
				close(said)
				old.confirmsStop()
			}()
			err = u.Ready() // the word may have come before it accepted anything
			<-said          // the end of the test closes its end of the handover socket
			if tt.rollsBack {
				<-u.Done()
				if err := u.Err(); !errors.Is(err, ErrAborted) || !strings.Contains(err.Error(), "bad") {
					t.Errorf("Err = %v", err)
				}
				return
			}
			must(t, err)
			resp, err := http.Get("http://" + ln.Addr().String())
			must(t, err)
			must(t, resp.Body.Close())
			if u.State() != StateCurrent {
				t.Errorf("state %v", u.State())
			}
		})
	}
}

// word is a frame.
type word struct {
	ty  wire.Type
	msg any
}

// saysAtOnce says the words in one write: after the first of them the other side may have hung up.
func (o *playedOld) saysAtOnce(words ...word) {
	o.t.Helper()
	var b []byte
	for _, w := range words {
		var err error
		b, err = wire.Append(b, w.ty, w.msg)
		must(o.t, err)
	}
	_, err := o.ctl.Write(b)
	must(o.t, err)
}

// confirmsStop reads until the new process ends, and answers its stop.
func (o *playedOld) confirmsStop() {
	_ = o.ctl.SetReadDeadline(conns.NoDeadline)
	for {
		switch f, err := wire.Read(o.ctl); {
		case err != nil:
			return
		case f.Type == wire.Settled:
			_ = wire.Write(o.ctl, wire.Confirm, wire.CommitMsg{})
		}
	}
}

// TestPong: the new process answers as long as it lives.
func TestPong(t *testing.T) {
	t.Parallel()
	u, old := newChild(t)
	go func() { _ = u.Ready() }()
	old.hears(wire.Ready)
	old.says(wire.Commit, wire.CommitMsg{ProbationMillis: 60000})
	for range 100 {
		old.says(wire.Ping, nil)
		old.hears(wire.Pong)
	}
	old.says(wire.Abort, wire.ReasonMsg{Reason: "bad"})
	<-u.Done()
}

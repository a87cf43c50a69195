//go:build unix

package peer

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// played is a process that a test plays.
type played struct {
	signals chan os.Signal
	ended   chan string // how
}

func (p *played) PID() int                   { return 1 << 30 }
func (p *played) Signal(sig os.Signal) error { p.signals <- sig; return nil }
func (p *played) Wait() spawn.Exit           { return spawn.Exit{Text: <-p.ended} }

func newPlayed() *played {
	return &played{signals: make(chan os.Signal, 8), ended: make(chan string, 1)}
}

// TestSeeOut_GivesTime has a new process that is given up, and can't be told, get SIGTERM, and SIGKILL when
// its time is over: the time of a whole stop if it has possibly taken over.
func TestSeeOut_GivesTime(t *testing.T) {
	t.Parallel()
	const stop = time.Hour + time.Minute
	for ready, want := range map[bool]time.Duration{false: timing.Kill, true: timing.Kill + stop} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlayed()
			ours, theirs := net.Pipe()
			defer theirs.Close()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			n := Follow("app", p, ours, func(bool) {})
			if ready {
				n.ready.Store(&wire.ReadyMsg{})
			}
			began := time.Now()
			go n.SeeOut(stop, nil, func(wire.Frame) {}, func() {})
			if sig := <-p.signals; sig != syscall.SIGTERM || time.Since(began) != 0 {
				t.Errorf("%v after %v", sig, time.Since(began))
			}
			if sig := <-p.signals; sig != os.Kill || time.Since(began) != want {
				t.Errorf("ready %v: %v after %v, want SIGKILL after %v", ready, sig, time.Since(began), want)
			}
			p.ended <- "killed"
		})
	}
}

// TestSeeOut_LeavesOneWithoutALimit gives up a process whose stop has no limit, and that can't be heard any more:
// before it is given up, or afterwards. This process does not wait for it when it has finished itself.
func TestSeeOut_LeavesOneWithoutALimit(t *testing.T) {
	t.Parallel()
	for told, wantSignals := range map[bool]int{false: 1, true: 0} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlayed()
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			n := Follow("app", p, ours, func(bool) {})
			n.ready.Store(&wire.ReadyMsg{})
			n.Told.Store(told)
			finished, seen := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(seen)
				n.SeeOut(timing.Unlimited, finished, func(wire.Frame) {}, func() {})
			}()
			synctest.Wait()
			must.Do(t, theirs.Close())
			time.Sleep(time.Hour)
			if isClosed(seen) {
				t.Errorf("told %v: it was not waited for", told)
			}
			close(finished)
			<-seen
			if got := len(p.signals); got != wantSignals {
				t.Errorf("told %v: %d signals, want %d", told, got, wantSignals)
			}
			p.ended <- "exit status 0"
		})
	}
}

// TestSeeOut_HearsAllThatWasSaid gives up a process that has ended, while another process holds its end of the
// socket. This process takes longer for each word than it waits for one.
func TestSeeOut_HearsAllThatWasSaid(t *testing.T) {
	t.Parallel()
	const words = 16
	synctest.Test(t, func(t *testing.T) {
		p := newPlayed()
		ours, theirs := net.Pipe()
		defer theirs.Close()
		n := Follow("app", p, ours, func(bool) {})
		p.ended <- "exit status 1"
		<-n.Exited
		go func() {
			_ = wire.Write(theirs, wire.Ready, nil)
			for range words {
				_ = wire.Write(theirs, wire.Again, nil)
			}
		}()
		heard := 0
		n.SeeOut(time.Minute, nil, func(wire.Frame) {
			heard++
			time.Sleep(2 * timing.LastWords)
		}, func() {})
		if heard != words {
			t.Errorf("%d of %d words were heard", heard, words)
		}
	})
}

// TestLastWords_AreReadHoweverLate reads what a process has said last when this one comes to it.
func TestLastWords_AreReadHoweverLate(t *testing.T) {
	t.Parallel()
	ours, end, err := fd.Pair()
	must.Do(t, err)
	defer ours.Close()
	theirs := must.Get(fd.Conn(end))(t)
	must.Do(t, wire.Write(theirs, wire.Failed, wire.Because("no database")))
	must.Do(t, theirs.Close())
	n := &Next{ctl: ours, Start: make(chan Event, 8), Frames: newFrames()}
	go func() {
		time.Sleep(50 * time.Millisecond) // if that is too short, less is tried
		n.read(func(bool) {})
	}()
	last, ok := n.LastWords(n.Start, time.Millisecond)
	if !ok || last.Type != wire.Failed || last.Reason() != "no database" {
		t.Errorf("%v, %v", last, ok)
	}
}

// TestLastWords_AreSeenWhereverTheyAre: the word that decides is in the socket, and goes from there through the hand of
// the reader to Start while it is looked for.
func TestLastWords_AreSeenWhereverTheyAre(t *testing.T) {
	t.Parallel()
	ready := must.Get(wire.Append(nil, wire.Ready, wire.ReadyMsg{}))(t)
	for i := range 2000 {
		ours, end, err := fd.Pair()
		must.Do(t, err)
		theirs := must.Get(fd.Conn(end))(t)
		n := &Next{ctl: ours, Start: make(chan Event, 8), Frames: newFrames()}
		go n.read(func(bool) {})
		must.Get(theirs.Write(ready))(t)
		if _, ok := n.LastWords(n.Start, time.Duration(i%100)*time.Microsecond); !ok {
			t.Errorf("try %d: it was not seen", i+1)
		}
		must.Do(t, theirs.Close())
		<-n.Frames.Silent
		must.Do(t, ours.Close())
	}
}

// TestLastWords_InHand: of the word that decides a part was read, and the rest comes, or does not.
func TestLastWords_InHand(t *testing.T) {
	t.Parallel()
	for _, comes := range []bool{true, false} {
		ours, theirs := ends(t)
		word := must.Get(wire.Append(nil, wire.Ready, wire.ReadyMsg{Room: 7}))(t)
		must.Get(theirs.Write(word[:len(word)/2]))(t)
		n := &Next{ctl: ours, Start: make(chan Event, 8), Frames: newFrames()}
		go n.read(func(bool) {})
		for pending(n.ctl) || n.hand.Load() != handWaits {
			time.Sleep(time.Millisecond)
		}
		if comes {
			time.AfterFunc(5*timing.InTime, func() { _, _ = theirs.Write(word[len(word)/2:]) })
		}
		if last, ok := n.LastWords(n.Start, timing.InTime); ok != comes || comes && last.Type != wire.Ready {
			t.Errorf("the rest comes: %v; %v, %v", comes, last, ok)
		}
		must.Do(t, theirs.Close())
	}
}

// TestWatch_GoneTwiceInARow: a process is gone if it is not there at two looks in a row, and nothing that it has said is
// left to hear. Nobody waits for the rest of a word for ever.
func TestWatch_GoneTwiceInARow(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	n := &Next{ctl: ours, Exited: make(chan struct{})}
	w := n.Watch()
	looks := func(what string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := w.Gone(); got != want {
				t.Errorf("%s, look %d: gone %v", what, i+1, got)
			}
		}
	}
	looks("it lives", false, false, false)
	close(n.Exited)
	looks("it has ended", false)
	n.Exited = make(chan struct{})
	looks("another one follows it", false)
	close(n.Exited)
	looks("that has ended, too", false, true)
	w = n.Watch()
	word := must.Get(wire.Append(nil, wire.Settled, nil))(t)
	must.Get(theirs.Write(word))(t)
	looks("its word is in the socket", false, false, false)
	must.Get(io.ReadFull(ours, make([]byte, len(word))))(t)
	n.hand.Store(handFull)
	looks("its word is in hand", false, false, false)
	n.hand.Store(handEmpty)
	looks("its word is heard", false, true)
	w = n.Watch()
	n.hand.Store(handWaits)
	looks("a part of its word is in hand", slices.Repeat([]bool{false}, timing.Parts+1)...)
	looks("the rest did not come", true)
}

// TestLives_LooksAtTheProcessThatSaidHello looks through a wrapper script.
func TestLives_LooksAtTheProcessThatSaidHello(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("true")
	must.Do(t, cmd.Run())
	for pid, want := range map[int]bool{os.Getpid(): true, cmd.Process.Pid: false} {
		n := &Next{proc: newPlayed(), Exited: make(chan struct{})}
		b := must.Get(wire.Append(nil, wire.Hello, wire.HelloMsg{PID: pid}))(t)
		f := must.Get(wire.Read(bytes.NewReader(b)))(t)
		n.note(heard{Frame: f, by: fd.Speaker{PID: pid, UID: os.Getuid()}})
		if n.Lives() != want {
			t.Errorf("process %d lives: %v", pid, !want)
		}
	}
}

// TestServes_WhileHelloComes asks for the process number of a new process that says hello at the same time.
func TestServes_WhileHelloComes(t *testing.T) {
	t.Parallel()
	p := newPlayed()
	ours, theirs := net.Pipe()
	n := Follow("app", p, ours, func(bool) {})
	go func() { _ = wire.Write(theirs, wire.Hello, wire.HelloMsg{PID: os.Getpid()}) }()
	for n.Serves() == p.PID() {
		runtime.Gosched()
	}
	if got := n.Serves(); got != os.Getpid() || n.Says() != got {
		t.Errorf("process %d serves, and says that it is %d; want %d", got, n.Says(), os.Getpid())
	}
	must.Do(t, theirs.Close())
	p.ended <- "exit status 0"
	<-n.Exited
}

// FuzzFrames has the old process get to the end of whatever a new one says.
func FuzzFrames(f *testing.F) {
	var all []byte
	for ty := wire.Type(0); ty < 30; ty++ {
		for _, msg := range []any{
			nil, wire.ReasonMsg{Reason: "why"}, wire.TakenMsg{Room: 4, Refused: []wire.Refusal{{Conn: 1}}},
		} {
			b := must.Get(wire.Append(nil, ty, msg))(f)
			f.Add(b, true)
			all = append(all, b...)
		}
	}
	f.Add(all, true)
	f.Fuzz(func(t *testing.T, b []byte, asked bool) {
		k := newFrames()
		k.asked.Store(asked)
		go k.listen(ear{in: bytes.NewReader(b)})
		for {
			select {
			case w := <-k.Rest:
				if !w.Type.Known() || w.Type == wire.Taken {
					t.Fatalf("the lifecycle gets a %v frame", w.Type)
				}
				continue
			case <-k.Silent:
			}
			break
		}
		if k.Why == nil || len(k.answers) > 0 && !asked {
			t.Fatalf("%v, with %d answers", k.Why, len(k.answers))
		}
	})
}

// TestHear_AbortOfADeadProcess: an old process that has said that it serves again, and was killed, does not. That
// the service stops holds all the same.
func TestHear_AbortOfADeadProcess(t *testing.T) {
	t.Parallel()
	for stop, want := range map[bool]handover.NewEvent{false: handover.AbortDead, true: handover.AbortStop} {
		ours, end, err := fd.Pair()
		must.Do(t, err)
		p := NewOld(must.Get(fd.Conn(end))(t))
		t.Cleanup(func() { p.ctl.Close() })
		msg := wire.AbortMsg{ReasonMsg: wire.Because("bad"), Stop: stop}
		f := must.Get(wire.Read(bytes.NewReader(must.Get(wire.Append(nil, wire.Abort, msg))(t))))(t)
		hear := func() (got handover.NewEvent) {
			must.Do(t, p.Hear(f, OldHandler{Aborted: func(e handover.NewEvent) { got = e }}))
			return got
		}
		t.Cleanup(func() { ours.Close() })
		// A child that another test forks has a copy of the socket until its execve, and close would leave it open.
		must.Do(t, ours.(*net.UnixConn).CloseWrite())
		if got := hear(); got != want {
			t.Errorf("stop %v: event %d, want %d", stop, got, want)
		}
	}
}

// TestStaysGivenUp_NotIfNotHeard: one that is left to the next process may say there that it serves again.
func TestStaysGivenUp_NotIfNotHeard(t *testing.T) {
	t.Parallel()
	theirs, end, err := fd.Pair()
	must.Do(t, err)
	defer theirs.Close()
	p := NewOld(must.Get(fd.Conn(end))(t))
	defer p.HangUp()
	go p.Follow(OldHandler{Older: func() {}, Rests: func() {}}, nil, slog.New(slog.DiscardHandler))
	if !p.staysGivenUp(nil) {
		t.Error("one that is heard, and says nothing, serves again")
	}
	<-p.Rest()
	if p.staysGivenUp(nil) {
		t.Fatal("one that is not heard is known to stay given up")
	}
	must.Do(t, wire.Write(theirs, wire.Returned, nil)) // nobody reads it here
	if p.staysGivenUp(nil) {
		t.Error("one that has said something is known to stay given up")
	}
}

// TestFollow_HearsAllThatWasSaid: a process that has ended can't be answered, and has said more.
func TestFollow_HearsAllThatWasSaid(t *testing.T) {
	t.Parallel()
	for _, asks := range []struct {
		ty  wire.Type
		msg any
	}{{wire.Ping, nil}, {wire.Account, wire.AccountMsg{}}} {
		ours, end, err := fd.Pair()
		must.Do(t, err)
		p := NewOld(must.Get(fd.Conn(end))(t))
		defer p.HangUp()
		b := must.Get(wire.Append(nil, asks.ty, asks.msg))(t)
		b = must.Get(wire.Append(b, wire.Drained, nil))(t)
		must.Get(ours.Write(b))(t)
		must.Do(t, ours.(*net.UnixConn).CloseRead()) // as good as its end to who answers
		must.Do(t, ours.Close())
		p.Follow(OldHandler{Older: func() {}, Account: func(wire.AccountMsg) {}, Ended: func() {}}, nil, slog.New(slog.DiscardHandler))
		if !isClosed(p.Drained) {
			t.Errorf("what is behind %v is not heard", asks.ty)
		}
	}
}

// TestUnheard_NotOfAPlainProgram: the socket of one that has inherited it from a process before it says nothing of it.
func TestUnheard_NotOfAPlainProgram(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	p := NewOld(theirs)
	must.Do(t, ours.CloseWrite())
	if !p.Unheard() {
		t.Error("the end of the socket is heard before it is read")
	}
	close(p.Disowned)
	if p.Unheard() {
		t.Error("what is in the socket is taken for its word")
	}
}

// TestStaysGivenUp_NotOnceItHasSaidOtherwise: the word that it serves again is in the socket, in the hand of the one that
// listens, or heard.
func TestStaysGivenUp_NotOnceItHasSaidOtherwise(t *testing.T) {
	t.Parallel()
	abort := must.Get(wire.Append(nil, wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("it went back")}))(t)
	for i := range 1000 {
		theirs, end, err := fd.Pair()
		must.Do(t, err)
		p := NewOld(must.Get(fd.Conn(end))(t))
		stop := make(chan struct{})
		go p.Follow(OldHandler{Older: func() {}, Aborted: func(handover.NewEvent) {}, Ended: func() {}}, stop, slog.New(slog.DiscardHandler))
		must.Get(theirs.Write(abort))(t)
		for range i % 50 {
			runtime.Gosched()
		}
		if p.staysGivenUp(nil) {
			t.Errorf("try %d: it stays given up", i+1)
		}
		close(stop)
		must.Do(t, theirs.Close())
		<-p.Gone
		p.HangUp()
	}
}

// TestEnd_OrServesAgain: of a kill and the word that the old process serves again, one is first.
func TestEnd_OrServesAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		killed, stop bool
		want         handover.NewEvent
	}{
		{false, false, handover.Abort},
		{true, false, handover.AbortDead},
		{true, true, handover.AbortStop}, // the service stops, whoever has said so
	} {
		cmd := exec.Command("cat")
		in := must.Get(cmd.StdinPipe())(t)
		must.Do(t, cmd.Start())
		ours, _ := ends(t)
		p := NewOld(ours)
		p.oldPID = cmd.Process.Pid
		if tt.killed {
			must.Do(t, p.end(syscall.SIGKILL))
		}
		b := must.Get(wire.Append(nil, wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("bad"), Stop: tt.stop}))(t)
		f := must.Get(wire.Read(bytes.NewReader(b)))(t)
		var got handover.NewEvent
		must.Do(t, p.Hear(f, OldHandler{Aborted: func(e handover.NewEvent) { got = e }}))
		if got != tt.want || isClosed(p.Aborted) != (got != handover.AbortDead) || isClosed(p.Aborted) != (p.Reason == "bad") {
			t.Errorf("killed %v, stop %v: event %d, aborted %v", tt.killed, tt.stop, got, isClosed(p.Aborted))
		}
		if err := p.end(syscall.SIGKILL); !tt.killed && !errors.Is(err, errServes) {
			t.Errorf("one that serves again is killed: %v", err)
		}
		must.Do(t, in.Close())
		_ = cmd.Wait()
	}
}

//go:build unix

package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// ends makes a handover socket.
func ends(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	a, end, err := fd.Pair()
	must.Do(t, err)
	b := must.Get(fd.Conn(end))(t)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.UnixConn), b.(*net.UnixConn)
}

// TestExchange_InterruptedInAnOffer: an offer of which a part was sent is the last word. The connections are this
// process's, because the new one can't have got the rest. Of one that was not begun nothing is known there, either.
func TestExchange_InterruptedInAnOffer(t *testing.T) {
	t.Parallel()
	offer := bytes.Repeat([]byte("x"), 8<<20) // more than a socket takes
	ours, theirs := ends(t)
	n := &Next{ctl: ours, Frames: newFrames(), writing: make(chan struct{}, 1)}
	quit := make(chan struct{})
	result := make(chan error)
	go func() {
		_, err := n.Exchange(offer, []int{int(os.Stdin.Fd())}, quit, func() bool { return true })
		result <- err
	}()
	in := fd.NewReceiver(theirs)
	must.Get(io.ReadFull(in, make([]byte, 1)))(t) // it is being sent
	for _, s := range in.Take() {
		must.Do(t, fd.Close(s))
	}
	close(quit)
	n.Interrupt()
	if err := <-result; !errors.Is(err, fd.ErrTorn) || errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrQuit) {
		t.Errorf("Exchange = %v", err)
	}
	if err := n.Say(wire.Drained, nil, time.Second); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a word after it: %v", err)
	}
	if _, err := n.Exchange(offer, nil, quit, func() bool { return true }); !errors.Is(err, ErrQuit) {
		t.Errorf("an offer that was not begun: %v", err)
	}
}

// offering makes an offer, which the other end has read and not answered, before the new process goes on by itself.
func offering(t *testing.T) (n *Next, theirs *net.UnixConn, result <-chan error) {
	t.Helper()
	ours, theirs := ends(t)
	n = &Next{ctl: ours, Frames: newFrames(), writing: make(chan struct{}, 1), Exited: make(chan struct{})}
	go n.Frames.listen(newEar(ours))
	answer := make(chan error)
	go func() {
		_, err := n.Exchange([]byte("offer"), nil, nil, func() bool { return false })
		answer <- err
	}()
	must.Get(io.ReadFull(theirs, make([]byte, len("offer"))))(t)
	return n, theirs, answer
}

// TestExchange_GarbageOfAProcessThatEnds: its answer can stand behind what is not understood, so that nobody knows whose the
// connections are.
func TestExchange_GarbageOfAProcessThatEnds(t *testing.T) {
	t.Parallel()
	n, theirs, result := offering(t)
	must.Get(io.WriteString(theirs, "garbage!"))(t) // another process has its end of the socket open
	<-n.Frames.Silent
	close(n.Exited)
	if err := <-result; !errors.Is(err, ErrNoAnswer) {
		t.Errorf("Exchange = %v", err)
	}
}

// TestExchange_AfterAHangUpOfItsOwn: the offer is in the socket, and the new process can take it until it ends.
func TestExchange_AfterAHangUpOfItsOwn(t *testing.T) {
	t.Parallel()
	n, _, result := offering(t)
	n.HangUp()
	<-n.Frames.Silent
	select {
	case err := <-result:
		t.Fatalf("Exchange = %v while the new process lives", err)
	case <-time.After(timing.InTime):
	}
	close(n.Exited)
	if err := <-result; !errors.Is(err, errGone) {
		t.Errorf("Exchange = %v", err)
	}
}

// TestExchange_InterruptedBeforeAnOffer: of an offer that waits for room nothing was sent, so that it is still this
// process's, and other words can follow.
func TestExchange_InterruptedBeforeAnOffer(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	rc := must.Get(ours.SyscallConn())(t)
	full := 0
	must.Do(t, rc.Control(func(s uintptr) {
		for b := make([]byte, 4096); ; {
			n, err := syscall.Write(int(s), b)
			if err != nil {
				return
			}
			full += n
		}
	}))
	n := &Next{ctl: ours, Frames: newFrames(), writing: make(chan struct{}, 1)}
	quit := make(chan struct{})
	result := make(chan error)
	go func() {
		_, err := n.Exchange([]byte("offer"), nil, quit, func() bool { return true })
		result <- err
	}()
	for begun := false; !begun; runtime.Gosched() {
		n.sending.Lock()
		begun = n.offers
		n.sending.Unlock()
	}
	close(quit)
	n.Interrupt()
	if err := <-result; !errors.Is(err, ErrQuit) {
		t.Errorf("Exchange = %v", err)
	}
	must.Get(io.ReadFull(theirs, make([]byte, full)))(t)
	if _, err := n.Exchange([]byte("offer"), nil, quit, func() bool { return true }); !errors.Is(err, ErrQuit) {
		t.Errorf("Exchange = %v, and there is room", err)
	}
	must.Do(t, n.Say(wire.Drained, nil, time.Second))
	if f := must.Get(wire.Read(theirs))(t); f.Type != wire.Drained {
		t.Errorf("it hears %v", f.Type)
	}
}

// TestInterrupt_LeavesOtherWordsAlone: a word of the lifecycle is said, whatever becomes of offers.
func TestInterrupt_LeavesOtherWordsAlone(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	n := &Next{ctl: ours, Frames: newFrames(), writing: make(chan struct{}, 1)}
	long := wire.ReportMsg{Generations: []byte(`"` + strings.Repeat("x", wire.MaxPayload-100) + `"`)}
	said := make(chan error)
	must.Do(t, ours.SetWriteBuffer(4096)) // which is less than the word
	go func() { said <- n.Say(wire.Report, long, time.Hour) }()
	must.Get(io.ReadFull(theirs, make([]byte, 1)))(t)
	n.Interrupt()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	must.Do(t, <-said)
}

// TestHear_AbortBeforeHalfAFrame: what a dead process had begun to say does not make it one that lives.
func TestHear_AbortBeforeHalfAFrame(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	p := NewOld(theirs)
	b := must.Get(wire.Append(nil, wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("bad")}))(t)
	must.Get(ours.Write(append(b, b[:len(b)/2]...)))(t)
	must.Do(t, ours.CloseWrite())
	var got handover.NewEvent
	f := must.Get(wire.Read(theirs))(t)
	must.Do(t, p.Hear(f, OldHandler{Aborted: func(e handover.NewEvent) { got = e }}))
	if runtime.GOOS == "linux" && got != handover.AbortDead {
		t.Errorf("event %d, want %d", got, handover.AbortDead)
	}
	if _, err := wire.Read(theirs); !errors.Is(err, io.ErrUnexpectedEOF) || !HungUp(err) {
		t.Errorf("half a frame is %v", err)
	}
}

// TestKeep_NamesListenersInAsManyFramesAsItTakes.
func TestKeep_NamesListenersInAsManyFramesAsItTakes(t *testing.T) {
	t.Parallel()
	ours, theirs := ends(t)
	l := &Link{conn: ours}
	words := make([]wire.Listener, fd.MaxFiles+1)
	files := make([]int, len(words))
	for i := range words {
		words[i] = wire.Listener{Kind: wire.KindFile, Address: strings.Repeat("<", text.MaxAddress)}
		files[i] = int(os.Stdin.Fd())
	}
	kept := make(chan error, 1)
	go func() { kept <- l.Keep(words, files) }()
	in, named, more := fd.NewReceiver(theirs), 0, false
	for named < len(words) {
		f := must.Get(wire.Read(in))(t)
		var msg wire.KeepMsg
		must.Do(t, f.Decode(&msg))
		came := in.Take()
		if msg.More != more || len(came) != len(msg.Listeners) || len(came) == 0 {
			t.Fatalf("after %d: more %v, %d listeners, %d descriptors", named, msg.More, len(msg.Listeners), len(came))
		}
		for _, s := range came {
			must.Do(t, fd.Close(s))
		}
		named, more = named+len(came), true
	}
	must.Do(t, <-kept)
}

//go:build unix

package core

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
)

// Words that can't be said: each has an old process that is there, and a handover socket to it that fails.

// failing is a connection whose writes fail with the error of the first byte of a frame's type.
type failing struct {
	net.Conn
	word atomic.Uint32 // the type of frame that can't be written; 0: all can
	with error
	once bool
}

func (c *failing) Write(b []byte) (int, error) {
	if word := c.word.Load(); word != 0 && len(b) > 3 && uint32(b[3]) == word {
		if c.once {
			c.word.Store(0)
		}
		return 0, c.with
	}
	return c.Conn.Write(b)
}

// playUnheard is playOld for an old process that is there, and that can't be told word.
func playUnheard(t *testing.T, word wire.Type, with error, opts ...Option) (*Upgrader, *playedOld, *failing) {
	t.Helper()
	process := exec.Command("sleep", "300")
	must(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	ours, theirs := controlPair(t)
	c := &failing{Conn: theirs, with: with}
	c.word.Store(uint32(word))
	p := peer.NewOld(c)
	must(t, wire.Write(ours, wire.Welcome, wire.WelcomeMsg{PID: process.Process.Pid}))
	_, err := p.Welcome()
	must(t, err)
	u, old := playOldAt(t, ours, p, opts...)
	return u, old, c
}

// hearsTheEnd reads to the end of what the new process says, which is none of the words.
func (o *playedOld) hearsTheEnd(words ...wire.Type) {
	o.t.Helper()
	for {
		f, err := wire.Read(o.ctl)
		for _, w := range words {
			if err == nil && f.Type == w {
				o.t.Errorf("it hears %v", w)
			}
		}
		if err != nil {
			expectEqual(o.t, "it hears the end", errors.Is(err, io.EOF), true)
			return
		}
	}
}

// TestReject_IsAHangUpIfItCantBeSaid: the old process serves again by that, so that this one finishes what it has.
func TestReject_IsAHangUpIfItCantBeSaid(t *testing.T) {
	t.Parallel()
	u, old, _ := playUnheard(t, wire.Reject, os.ErrDeadlineExceeded)
	u.AttachTest(t, notFound())
	old.handsOver(u, longProbation)
	must(t, u.Reject(errors.New("bad cache")))
	old.hearsTheEnd(wire.Settled, wire.Confirmed)
	u.expectDone(t, ErrAborted, "bad cache")
}

// TestReject_GoesOnUntilItWasHeard: a failed ready check that nobody has heard is not the last one.
func TestReject_GoesOnUntilItWasHeard(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<", 1<<20) // over the limit of a frame
	var bad atomic.Bool
	u, old, c := playUnheard(t, wire.Reject, syscall.EPIPE, WithReadyCheck(func(context.Context) error {
		if bad.Load() {
			return errors.New(long)
		}
		return nil
	}))
	c.once = true // with the error of a process that is gone
	u.AttachTest(t, notFound())
	old.handsOver(u, wire.CommitMsg{DrainMillis: 1000, ProbationMillis: 400})
	bad.Store(true)
	f := old.awaits(wire.Reject)
	var msg wire.RejectMsg
	must(t, f.Decode(&msg))
	expectEqual(t, "the reason is cut", len(msg.Reason) < 1<<13 && strings.HasSuffix(msg.Reason, "<..."), true)
	old.says(wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because("it rejected itself")})
	u.expectDone(t, ErrAborted, "it rejected itself")
}

// TestReady_FailsIfItCantBeSaid: the old process, which is there, serves on, and this one does not begin.
func TestReady_FailsIfItCantBeSaid(t *testing.T) {
	t.Parallel()
	u, old, _ := playUnheard(t, wire.Ready, os.ErrDeadlineExceeded)
	u.AttachTest(t, notFound())
	expectError(t, u.Ready(), os.ErrDeadlineExceeded, "can't be told")
	old.hearsTheEnd(wire.Ready, wire.Confirmed, wire.Failed)
	expectEqual(t, "it has begun", u.State() < StateCurrent || u.State() >= StateStopping, true)
}

// TestTaken_LeavesWhatTheOldProcessDoesNotHearOf: it takes the connections back when this process hangs up.
func TestTaken_LeavesWhatTheOldProcessDoesNotHearOf(t *testing.T) {
	t.Parallel()
	u, _ := playCurrent(t, notFound())
	ours, theirs := controlPair(t)
	c := &failing{Conn: theirs, with: os.ErrDeadlineExceeded}
	c.word.Store(uint32(wire.Taken))
	p := peer.NewOld(c)
	client, server := pairAt(t, u, "")
	offer := frame(t, word{wire.Offer, wire.OfferMsg{Conns: []wire.Conn{{Listener: atListener}}}})
	must(t, u.receive(p, offer, []int{dupOf(t, server)}))
	(&playedOld{player{t, ours}}).hearsTheEnd(wire.Taken)
	expectEqual(t, "adopted", p.Adopted, 0)
	proctest.Await(t, "it is closed here", func() bool { return u.remaining().Connections == 0 })
	client.Ask("/")
	n, err := server.Read(make([]byte, 3))
	must(t, err)
	expectEqual(t, "bytes that the old process reads", n, 3)
}

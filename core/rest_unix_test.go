//go:build unix

package core

import (
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestRest_EndsTheListeningToAll has the old process leave one before it to this one while the listening to the old one
// ends. What that says from then on is the next process's to hear.
func TestRest_EndsTheListeningToAll(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, notFound())
	older, theirs := controlPair(t)
	b := frames(t, word{wire.Entrust, wire.EntrustMsg{PID: 1 << 30, DrainMillis: 60_000}})
	s := dupOf(t, theirs)
	defer fd.Close(s)
	must(t, fd.Send(o.ctl.(*net.UnixConn), b[:1], []int{s}))

	awaitStack(t, "peer.ear.read(")
	rested := make(chan struct{})
	go func() {
		defer close(rested)
		(&drainer{u: u, deadline: time.Now().Add(patience)}).rest()
	}()
	awaitStack(t, "(*turnstile).shut") // it waits for the end of the frame
	must(t, fd.Write(o.ctl, b[1:]))
	awaitClosed(t, rested)
	if all := u.before(); len(all) != 2 {
		t.Errorf("%d processes before this one, want 2", len(all))
	}
	for _, p := range u.before() {
		if !p.Rests() {
			t.Errorf("process %d is still heard", p.PID())
			continue
		}
		close(p.Gone) // which nobody hears: the stop does not wait for it
	}
	(&player{t, older}).awaits(wire.Follows)
}

// TestTakeOlder_WaitsForItsOwnFollowed has a process that was left to another one a moment ago. Its answer to that one
// is no answer to this: until it knows this one it takes back what it has offered, if the one before ends.
func TestTakeOlder_WaitsForItsOwnFollowed(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, notFound())
	ours, theirs := controlPair(t)
	s := dupOf(t, theirs)
	defer fd.Close(s)
	b := frames(t, word{wire.Entrust, wire.EntrustMsg{PID: 1 << 30, DrainMillis: 60_000, Owed: 1}})
	must(t, fd.Send(o.ctl.(*net.UnixConn), b, []int{s}))
	older := player{t, ours}
	older.awaits(wire.Follows)
	p := u.before()[0]
	older.saysAtOnce(word{wire.Followed, nil}, word{wire.Ping, nil})
	older.awaits(wire.Pong)
	if isClosed(p.Follows) {
		t.Error("the answer to the process before is taken for one to this")
	}
	older.says(wire.Followed, nil)
	awaitClosed(t, p.Follows)
	close(p.Drained) // the stop does not wait for it
}

// TestTakeOlder_AnswersOfferWhenItIsKnown: an offer that comes before *followed* was made to the process before, and is
// taken back if that was found gone. Nobody has the connection twice, and nobody loses it.
func TestTakeOlder_AnswersOfferWhenItIsKnown(t *testing.T) {
	t.Parallel()
	followed := func(msg any) func(*testing.T, *Upgrader, player) {
		return func(_ *testing.T, _ *Upgrader, older player) { older.says(wire.Followed, msg) }
	}
	for name, tt := range map[string]struct {
		then  func(*testing.T, *Upgrader, player)
		taken bool
		again bool
	}{
		"it waits":          {followed(wire.FollowedMsg{Awaits: true}), true, false},
		"it was taken back": {followed(wire.FollowedMsg{}), false, false},
		"it does not say":   {followed(nil), false, false},
		"this one rests": {func(t *testing.T, u *Upgrader, _ player) {
			(&drainer{u: u, deadline: time.Now().Add(patience)}).rest()
			for _, p := range u.before() {
				close(p.Gone) // which nobody hears: the stop does not wait for it
			}
		}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, o := playCurrent(t, notFound())
			ours, theirs := controlPair(t)
			s := dupOf(t, theirs)
			defer fd.Close(s)
			b := frames(t, word{wire.Entrust, wire.EntrustMsg{PID: 1 << 30, DrainMillis: 60_000}})
			must(t, fd.Send(o.ctl.(*net.UnixConn), b, []int{s}))
			older := player{t, ours}
			older.awaits(wire.Follows)
			p := u.before()[0]

			client, server := pairAt(t, u, "")
			offer := frames(t, word{wire.Offer, wire.OfferMsg{Conns: []wire.Conn{{Listener: atListener}}}}, word{wire.Ping, nil})
			s = dupOf(t, server)
			defer fd.Close(s)
			must(t, fd.Send(ours.(*net.UnixConn), offer, []int{s}))
			older.awaits(wire.Pong) // it has read the offer
			expectEqual(t, "connections before it is known", u.remaining().Connections, 0)
			tt.then(t, u, older)
			var taken wire.TakenMsg
			must(t, older.awaits(wire.Taken).Decode(&taken))
			expectEqual(t, "it is taken", len(taken.Refused) == 0, tt.taken)
			expectEqual(t, "there is room for others", taken.Room > 0, true)
			expectEqual(t, "it is to be offered again", taken.Again, tt.again)
			client.Ask("/")
			if tt.taken {
				must(t, server.Close())
				expectEqual(t, "status", client.Answer().StatusCode, http.StatusNotFound)
			} else {
				_, err := server.Read(make([]byte, 1))
				must(t, err)
			}
			close(p.Drained) // the stop does not wait for it
		})
	}
}

// TestTakeOlder_RefusesWhatIsNotExplained: an offer of a process that is gone, and a second one before the answer.
func TestTakeOlder_RefusesWhatIsNotExplained(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]bool{"gone": false, "a second one": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, _ := playCurrent(t, notFound())
			client, server := pairAt(t, u, "")
			h := &heldOffer{u: u, p: peer.NewOld(nil)}
			offer := frame(t, word{wire.Offer, wire.OfferMsg{Conns: []wire.Conn{{Listener: atListener}}}})
			must(t, h.hold(offer, []int{dupOf(t, server)}))
			if second {
				expectError(t, h.hold(offer, []int{dupOf(t, server)}), wire.ErrGarbage)
			}
			h.refuse(false)
			h.settle(true) // which is too late
			expectEqual(t, "connections", u.remaining().Connections, 0)
			must(t, server.Close())
			if _, err := client.Conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) { // no other descriptor is left
				t.Errorf("the connection does not end: %v", err)
			}
		})
	}
}

// TestSeenOffAll_AwaitsThoseThatAreLeftMeanwhile: they move their connections here.
func TestSeenOffAll_AwaitsThoseThatAreLeftMeanwhile(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, notFound())
	seen := u.seenOffAll()
	older, theirs := controlPair(t)
	s := dupOf(t, theirs)
	defer fd.Close(s)
	b := frames(t, word{wire.Entrust, wire.EntrustMsg{PID: 1 << 30, DrainMillis: 60_000}}, word{wire.Drained, nil})
	must(t, fd.Send(o.ctl.(*net.UnixConn), b, []int{s}))
	awaitClosed(t, u.seenOff)
	awaitStack(t, "(*Upgrader).seenOffAll.func")
	select {
	case <-seen:
		t.Error("all are seen off, and one still drains")
	default:
	}
	p := player{t, older}
	p.says(wire.Drained, nil)
	awaitClosed(t, seen)
}

// TestDrain_TakesNothingAfterItsEnd: nobody would serve what comes then, and the process ends.
func TestDrain_TakesNothingAfterItsEnd(t *testing.T) {
	t.Parallel()
	u, _ := playCurrent(t, notFound())
	must(t, u.Stop(t.Context()))
	_, server := pair(t)
	if c := u.conns.Adopt(server, &conns.Side{}, wire.Conn{}, nil); c != nil {
		t.Error("a connection is adopted after the end of the drain")
	}
}

// awaitStack returns when a goroutine has all this in its stack.
func awaitStack(t *testing.T, parts ...string) {
	t.Helper()
	b := make([]byte, 8<<20)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(stack, part) }) {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("no goroutine is in %q", parts)
		}
	}
}

//go:build unix

package core

import (
	"context"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestProbation_BadNewProcessIsRolledBack: whatever it says wrong, or does not say, the old one accepts again
// and ends it.
func TestProbation_BadNewProcessIsRolledBack(t *testing.T) {
	t.Parallel()
	const hungUp, silent = "it closed the handover socket", "it did not answer for 5s"
	says := func(ty wire.Type, msg any) func(*playedNew) { return func(f *playedNew) { f.says(ty, msg) } }
	writes := func(s string) func(*playedNew) { return func(f *playedNew) { f.writes(s) } }
	for name, tt := range map[string]struct {
		play func(f *playedNew)
		want string
		told bool // it hears that it is given up
	}{
		"silent, over at once":  {func(*playedNew) {}, silent, true},
		"half a word":           {func(f *playedNew) { f.writes("GX\x01\x0d\x00"); f.ctl.Close() }, hungUp, false},
		"hung up":               {func(f *playedNew) { f.ctl.Close() }, hungUp, false},
		"oversized":             {writes("GX\x01\x0d\xff\xff\xff\xff"), "a payload of 4294967295 bytes", false},
		"garbage":               {writes("GET / HTTP/1.1\r\n\r\n"), "not a gracex frame", false},
		"future version":        {writes("GX\x02\x0d\x00\x00\x00\x00"), "protocol version 2", false},
		"out of order":          {says(wire.Ready, nil), "an unexpected ready frame", false},
		"answer to nothing":     {says(wire.Taken, wire.TakenMsg{}), "a taken frame that answers nothing", false},
		"word of the other":     {says(wire.Ping, nil), "an unexpected ping frame", false},
		"rejects itself":        {says(wire.Reject, wire.Because("bad cache")), "it rejected itself: bad cache", true},
		"rejects for no reason": {says(wire.Reject, nil), "did not say why", true},
		"silent":                {func(*playedNew) {}, silent, true},
		"ends":                  {func(f *playedNew) { f.ends("exit status 7") }, "on probation (exit status 7", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.want == silent && !proctest.Apart(t) {
				return
			}
			probation := time.Minute
			if name == "silent, over at once" {
				probation = 1
			}
			u := playNew(t, func(f *playedNew) {
				f.goesOnProbation()
				tt.play(f)
				switch {
				case tt.told:
					f.awaits(wire.Abort)
				case name != "ends":
					f.obeys()
				}
			}, WithProbation(probation))
			u.expectUpgrade(t, ErrRolledBack, tt.want)
			u.expectAccepts(t)
		})
	}
}

// TestProbation_IsPassed by an answer after its time, or by the new process's own word. What this version
// does not know is nothing.
func TestProbation_IsPassed(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(f *playedNew){
		"by answers": func(f *playedNew) {
			f.says(200, nil)
			f.passesProbation()
			f.says(wire.Confirmed, nil)
		},
		"by a stop": func(f *playedNew) { f.says(wire.Settled, nil) },
		"when it is asked for another": func(f *playedNew) {
			f.says(wire.Again, nil)
			f.says(wire.Confirmed, nil) // on its own
			var msg wire.CommitMsg
			must(t, f.awaits(wire.Confirm).Decode(&msg))
			expectEqual(t, "confirm", msg, wire.CommitMsg{DrainMillis: 1500}) // it remembers Again itself
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := playNew(t, func(f *playedNew) {
				f.goesOnProbation()
				running.Load().expectState(t, StateProbation)
				play(f)
				must(t, f.answersUntil(wire.Older).Decode(&wire.OlderMsg{}))
				f.outlives()
			}, WithProbation(50*time.Millisecond), WithDrainTimeout(1500*time.Millisecond))
			u.expectUpgrade(t, nil)
			u.expectDone(t, nil)
		})
	}
}

// TestRecall_LastsAsLongAsAStop while the new process answers; then it is killed.
func TestRecall_LastsAsLongAsAStop(t *testing.T) {
	t.Parallel()
	if !proctest.Apart(t) {
		return
	}
	killed := make(chan struct{})
	u := playNew(t, func(f *playedNew) {
		defer close(killed)
		f.rejectsItself()
		for range 2 { // and no signal
			f.awaits(wire.Ping)
			f.says(wire.Pong, nil)
		}
		expectEqual(t, "signals for a process that answers", len(f.signals), 0)
		f.isKilled()
	}, WithProbation(time.Minute))
	u.expectUpgrade(t, ErrRolledBack)
	<-killed
}

// TestRecall_DoesNotHoldUpAStop though the new process finishes what it has, and lives.
func TestRecall_DoesNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	if !proctest.Apart(t) {
		return
	}
	u := playNew(t, func(f *playedNew) {
		f.rejectsItself()
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
		f.ends("exit status 1")
	}, WithProbation(time.Minute), WithDrainTimeout(time.Hour))
	u.expectUpgrade(t, ErrRolledBack)
	go func() { _ = u.Stop(context.Background()) }()
	u.expectDone(t, nil)
}

// TestProbation_BadOldProcessDoesNotStopTheNewOne: whatever the old process says wrong, the new one serves, or
// goes when it is told.
func TestProbation_BadOldProcessDoesNotStopTheNewOne(t *testing.T) {
	t.Parallel()
	confirm, abort := word{wire.Confirm, wire.CommitMsg{DrainMillis: 1000}}, word{wire.Abort, wire.Because("bad")}
	committed := word{wire.Commit, longProbation}
	writes := func(s string) func(*playedOld) { return func(o *playedOld) { o.writes(s) } }
	for name, tt := range map[string]struct {
		words     [][]word // each line is one write
		then      func(o *playedOld)
		rollsBack bool
	}{
		"commit that is none":  {words: [][]word{{{wire.Commit, "what?"}}}},
		"confirm before all":   {words: [][]word{{{wire.Confirm, wire.CommitMsg{}}, committed}}},
		"confirm that is none": {words: [][]word{{committed}, {{wire.Confirm, "what?"}}}},
		"confirm twice":        {words: [][]word{{committed}, {confirm, confirm}}},
		"older that are none":  {words: [][]word{{committed}, {{wire.Older, "what?"}}}},
		"older below zero":     {words: [][]word{{committed}, {{wire.Older, wire.OlderMsg{Older: -1 << 40}}}}},
		"word of the other":    {words: [][]word{{committed}, {{wire.Pong, nil}, {wire.Taken, nil}, {200, nil}}}},
		"oversized":            {words: [][]word{{committed}}, then: writes("GX\x01\x0c\xff\xff\xff\xff")},
		"future version":       {words: [][]word{{committed}}, then: writes("GX\x02\x0c\x00\x00\x00\x00")},
		"half a word":          {words: [][]word{{committed}}, then: func(o *playedOld) { o.writes("GX"); o.ctl.Close() }},
		"abort":                {words: [][]word{{committed}, {abort}}, rollsBack: true},
		"abort twice":          {words: [][]word{{committed}, {abort, abort}}, rollsBack: true},
	} {
		t.Run(name, func(t *testing.T) {
			u, old := playOld(t, WithDrainTimeout(time.Second))
			addr := u.AttachTest(t, notFound())
			said := make(chan struct{})
			go func() {
				old.hears(wire.Ready)
				for _, words := range tt.words {
					old.saysAtOnce(words...)
				}
				if tt.then != nil {
					tt.then(old)
				}
				close(said)
				old.confirmsStop()
			}()
			err := u.Ready() // the word may have come before it accepted anything
			<-said           // the end of the test closes its end of the handover socket
			if tt.rollsBack {
				u.expectDone(t, ErrAborted, "bad")
				return
			}
			must(t, err)
			expectServes(t, addr)
			u.expectState(t, StateCurrent)
		})
	}
}

// TestProbation_PingsAreAnswered as long as the new process lives.
func TestProbation_PingsAreAnswered(t *testing.T) {
	t.Parallel()
	u, old := playOld(t)
	old.hearsReady(u)
	old.says(wire.Commit, longProbation)
	for range 100 {
		old.says(wire.Ping, nil)
		old.hears(wire.Pong)
	}
	old.says(wire.Abort, wire.Because("bad"))
	<-u.Done()
}

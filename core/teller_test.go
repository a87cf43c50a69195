package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// telling is an Upgrader of which only the teller, the books and the events are used.
func telling() *Upgrader {
	u := &Upgrader{phase: newPhase(), inherited: &inheritance{}}
	u.conns = conns.NewTable(u.phase.goodbye)
	u.teller.u = u
	return u
}

// TestTeller_TellsAgainAfterAWordThatCouldNotBeSaid: it was too long, or the socket had no room.
func TestTeller_TellsAgainAfterAWordThatCouldNotBeSaid(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{"too long": wire.ErrTooLong, "no room": os.ErrDeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, said := telling(), 0
			p := &partner{hears: hearsAll, events: true, next: &peer.Next{}, say: func(wire.AccountMsg) error {
				if refusal != nil {
					return refusal
				}
				said++
				return nil
			}}
			u.teller.add(p)
			u.teller.tell(p, false)
			refusal = nil
			u.teller.tell(p, false)
			if said != 1 {
				t.Errorf("told %d times", said)
			}
		})
	}
}

// TestTeller_LetsGoOfOneThatIsGone, and does not wait for one that has not answered before.
func TestTeller_LetsGoOfOneThatIsGone(t *testing.T) {
	t.Parallel()
	u, gone := telling(), make(chan struct{})
	silent := &partner{gone: gone, say: func(wire.AccountMsg) error { return nil }}
	hungUp := &partner{say: func(wire.AccountMsg) error { return fmt.Errorf("write: %w", syscall.EPIPE) }}
	u.teller.add(silent)
	u.teller.add(hungUp)
	u.teller.show()
	if hungUp.waits {
		t.Error("one that has hung up is waited for")
	}
	if all := u.teller.all(); len(all) != 1 || all[0] != silent {
		t.Errorf("%d partners", len(all))
	}
	u.books.drained(time.Second)
	silent.since = time.Now().Add(-time.Hour)
	if !u.teller.isDeaf(silent) {
		t.Error("one that has never answered is waited for")
	}
	close(gone)
	if all := u.teller.all(); len(all) != 0 {
		t.Errorf("%d partners", len(all))
	}
}

// TestTeller_Waits for one that answers late, and not for one that is gone. While it waits for one that stands still, the
// others are told.
func TestTeller_Waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u, gone := telling(), make(chan struct{})
		began := time.Now()
		u.teller.add(&partner{say: func(wire.AccountMsg) error { return syscall.EPIPE }})
		u.teller.show()
		u.teller.add(&partner{gone: gone, say: func(wire.AccountMsg) error {
			time.AfterFunc(time.Millisecond, func() { close(gone) })
			return nil
		}})
		u.teller.show()
		if took := time.Since(began); took > time.Millisecond {
			t.Errorf("who is gone is waited for, for %v", took)
		}
		var late *partner // as a new process on a busy machine
		lateGone := make(chan struct{})
		late = &partner{gone: lateGone, say: func(wire.AccountMsg) error {
			time.AfterFunc(500*time.Millisecond, func() { u.teller.hears(late) })
			return nil
		}}
		u.teller.add(late)
		if u.teller.show(); late.waits {
			t.Error("it has not heard what is shown")
		}
		close(lateGone)
		began = time.Now()
		var second *partner
		u.teller.add(&partner{say: func(wire.AccountMsg) error { return nil }}) // stands still
		second = &partner{say: func(wire.AccountMsg) error {
			if time.Since(began) > time.Millisecond {
				t.Error("it is told late")
			}
			u.teller.hears(second)
			return nil
		}}
		u.teller.add(second)
		u.teller.show()
		if took := time.Since(began); took != timing.Shown {
			t.Errorf("one that stands still is waited for, for %v", took)
		}
	})
}

// TestTeller_GivesTheBooksBack after a new process that could not be told.
func TestTeller_GivesTheBooksBack(t *testing.T) {
	t.Parallel()
	u, next := telling(), &peer.Next{}
	p := &partner{next: next, hears: hearsAll, say: func(wire.AccountMsg) error { return io.EOF }}
	u.books.hand(true)
	u.teller.add(p)
	u.teller.tell(p, true)
	u.keepBooks(next)
	for i := range 2 * maxProcesses { // that are rolled back
		u.books.take(control.Account{PID: 1000 + i, Generation: 1, Number: 1, Counts: control.Counts{Refused: 1}})
		u.books.gone(1, 1000+i, heard{})
	}
	if n := u.books.totals(control.Account{}).Total.Refused; n != 2*maxProcesses {
		t.Errorf("%d of %d are counted", n, 2*maxProcesses)
	}
}

// TestTeller_ALongEventIsNoObstacle to those behind it.
func TestTeller_ALongEventIsNoObstacle(t *testing.T) {
	t.Parallel()
	u := telling()
	var heard []string
	p := &partner{hears: hearsAll, events: true, next: &peer.Next{}}
	p.say = func(msg wire.AccountMsg) error {
		if _, err := wire.Append(nil, wire.Account, msg); err != nil {
			return err
		}
		for _, e := range takeEvents(msg) {
			heard = append(heard, e.ID)
		}
		u.teller.hears(p)
		return nil
	}
	u.teller.add(p)
	u.hear([]Event{{ID: strings.Repeat("i", wire.MaxPayload-100), By: 1}}, nil)
	for i := range 300 {
		u.hear([]Event{{ID: fmt.Sprint(i), By: 1, Text: strings.Repeat("<", 1000)}}, nil)
	}
	for range 20 {
		u.teller.tell(p, false)
	}
	if len(heard) < maxQueue-1 || heard[len(heard)-1] != "299" {
		t.Errorf("it hears of %d events", len(heard))
	}
}

// TestEvents_RefusalsLeaveRoom: a script that asks again and again does not remove what is remembered.
func TestEvents_RefusalsLeaveRoom(t *testing.T) {
	t.Parallel()
	u := telling()
	u.happened(Event{Step: control.StepServing})
	for range maxEvents {
		u.refused(ErrInProgress)
	}
	if all := u.events.all(); all[0].Step != control.StepServing || len(all) != 1+maxRefusals {
		t.Errorf("%d are remembered, the first is %+v", len(all), all[0])
	}
}

// TestBooks_ProcessWithTheSameNumber: the one before has it in another pid namespace.
func TestBooks_ProcessWithTheSameNumber(t *testing.T) {
	t.Parallel()
	var b books
	b.open(1, nil)
	b.takeTotals(control.Totals{Processes: []control.Account{
		{PID: os.Getpid(), Generation: 0, Number: 1, Counts: control.Counts{Refused: 100}},
		{PID: os.Getpid(), Generation: 1, Number: 9, Counts: control.Counts{Refused: 1000}}, // of this one
	}})
	if n := b.totals(control.Account{PID: os.Getpid(), Generation: 1}).Total.Refused; n != 100 {
		t.Errorf("%d of 100", n)
	}
}

// TestBooks_NoNumber: sums that can't be told any more are not taken.
func TestBooks_NoNumber(t *testing.T) {
	t.Parallel()
	var b books
	for i := range 2 {
		var a control.Account
		err := json.Unmarshal(fmt.Appendf(nil, `{"pid":%d,"generation":1,"number":1,"counts":{"request_seconds":{"count":1,"sum":1.7e308}}}`, 1000+i), &a)
		if err != nil {
			t.Fatal(err)
		}
		b.take(a)
	}
	if _, err := json.Marshal(b.totals(control.Account{})); err != nil {
		t.Error(err)
	}
}

// TestBooks_NamesThatChangeWithEachVersion: the sum has room for so many, and a supervisor for the sum.
func TestBooks_NamesThatChangeWithEachVersion(t *testing.T) {
	t.Parallel()
	var b books
	for i := range 600 {
		name := fmt.Sprintf("shop v1.0.%d %s", i, strings.Repeat("x", 200))
		b.take(control.Account{PID: 1000 + i, Generation: i, Number: 1, Counts: control.Counts{
			Servers: []control.ServerCounts{{Server: name, Requests: 1234567, Accepted: 12345}},
		}})
		b.gone(i, 1000+i, heard{})
	}
	all := b.totals(control.Account{})
	if n := all.Total.Requests(); n != 600*1234567 {
		t.Errorf("%d requests", n)
	}
	if got, err := json.Marshal(summary(all)); err != nil || len(got) > wire.MaxTotals {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestReasonClass has a word for each error.
func TestReasonClass(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{because(ErrVetoed, errors.New("x")), control.ReasonVetoed},
		{ErrInProgress, control.ReasonInProgress},
		{ErrStopped, control.ReasonStopped},
		{rolledBack(&operatorError{"x"}), control.ReasonOperator},
		{rolledBack(errRejectedItself), control.ReasonRejected},
		{rolledBack(errSilent), control.ReasonTimeout},
		{errNotReadyInTime, control.ReasonTimeout},
		{&StartError{PID: 1, Err: errSaidFailed}, control.ReasonSaidFailed},
		{&StartError{PID: 1, Err: errEnded}, control.ReasonExited},
		{rolledBack(errEndedOnProbation), control.ReasonExited},
		{&StartError{Err: os.ErrNotExist}, control.ReasonNotStarted},
		{ErrNoRelease, control.ReasonNotStarted},
		{wrap("upgrade", errors.New("x")), control.ReasonOther},
	} {
		if got := reasonClass(c.err); got != c.want {
			t.Errorf("%v is %q, want %q", c.err, got, c.want)
		}
	}
}

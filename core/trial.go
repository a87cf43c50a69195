package core

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// silenceLimit is how long a new process on probation may say nothing. It is far
	// above what a busy machine takes to run a goroutine.
	silenceLimit = 5 * time.Second
	// maxBeat is the longest time between two pings.
	maxBeat = 250 * time.Millisecond
	// minBeat is the shortest.
	minBeat = 50 * time.Millisecond
	// tooLateAfter is how long after a probation the old process can take the service
	// back, and aloneAfter when the new one goes on alone. The time in between keeps the
	// two from deciding differently.
	tooLateAfter = 10 * time.Second
	aloneAfter   = 15 * time.Second
	// reapWait is how long after a process's last word its end may be noticed.
	reapWait = time.Second
)

// Why a new process did not pass its probation.
var (
	errEndedOnProbation  = errors.New("it ended on probation")
	errHungUpOnProbation = errors.New("it closed the control socket on probation")
	errSilent            = fmt.Errorf("%w: it did not answer for %v on probation", ErrTimeout, silenceLimit)
	errRejectedItself    = errors.New("it rejected itself")
)

// trial is a probation as the old process sees it: the time in which it can take the
// service back. It is the lifecycle's.
type trial struct {
	began   time.Time
	asked   context.Context // the upgrade's
	asker   chan upgradeReply
	result  Result
	paused  []*listener
	quiet   []*PacketConn // paused, too
	mover   *mover        // nil if connections do not move
	pidFile *pidfile.File // names this process again; nil without one

	beat   *time.Ticker
	most   int    // beats without an answer
	missed int    // of them in a row. Beats are counted, not time: this process may stand still too
	pongs  uint32 // as of the last beat

	over <-chan time.Time // nil when that was
	due  bool             // the time is over: the next answer is the last one
}

// beats, ends and givenUp are channels for the lifecycle, nil without a trial.

func (t *trial) beats() <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.beat.C
}

func (t *trial) ends() <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.over
}

func (t *trial) givenUp() <-chan struct{} {
	if t == nil {
		return nil
	}
	return t.asked.Done()
}

// beginTrial lets next accept and keeps everything else: the listeners, which are
// paused before next is told, and the connections but for the share.
func (l *lifecycle) beginTrial(a *attempt, next *successor, asker chan upgradeReply, result Result) {
	d := l.cfg.probation
	// The new process counts from its commit: if this one stands still from here on, it must not
	// be the one that believes it has time left.
	t := &trial{began: time.Now(), asked: a.asked, asker: asker, result: result}
	if l.cfg.pidFile != "" {
		// Now: a disk that is full later must not be in the way back.
		var err error
		if t.pidFile, err = pidfile.Prepare(l.cfg.pidFile, servicePID()); err != nil {
			l.log.Error("the pid file could not be restored after a rollback", "error", err)
		}
	}
	l.next, l.trial, next.served = next, t, true
	l.setState(StateProbation)
	t.paused = only[*listener](next.claimed())
	pauseAll(t.paused)
	t.mover = l.prepareMove(next, l.cfg.share, false)
	l.log.Info("on probation", "new_pid", result.PID, "probation", d)
	l.note(control.StepProbation, result.PID)
	l.tell(next, t.mover, wire.CommitMsg{ProbationMillis: max(d.Milliseconds(), 1), DrainMillis: l.cfg.drainTimeout.Milliseconds()})
	every := min(maxBeat, max(d/4, minBeat))
	t.beat, t.most = time.NewTicker(every), int(silenceLimit/every)
	t.over = time.After(d)
}

// beatTrial counts what was not answered, and asks anew.
func (l *lifecycle) beatTrial() {
	t := l.trial
	if n := l.next.talk.pongs.Load(); n != t.pongs {
		t.pongs, t.missed = n, 0
	} else if t.missed++; t.missed > t.most {
		if !l.tooLate() {
			l.rollBack(errSilent)
			return
		}
		l.next.send(syscall.SIGKILL) // its end is heard
	}
	_ = l.next.say(wire.Ping, nil, sayWait) // its end is heard otherwise
}

// trialDue: one more answer, and the new process has passed.
func (l *lifecycle) trialDue() {
	l.trial.over, l.trial.due = nil, true
	_ = l.next.say(wire.Ping, nil, sayWait)
}

// tooLate reports whether the new process, which lives, may have decided to go on alone,
// because this one has stood still: the two must not both serve. One that has ended
// without a word of that has not.
func (l *lifecycle) tooLate() bool {
	return time.Since(l.trial.began) > addTime(l.cfg.probation, tooLateAfter)
}

// givenUp: who asked for the upgrade does not want it any more.
func (l *lifecycle) givenUp() {
	why := context.Cause(l.trial.asked)
	if l.tooLate() {
		l.log.Warn("the upgrade was given up too late", "error", why)
		l.trial.asked = context.Background()
		return
	}
	l.rollBack(why)
}

// rejected: the new process does not want to be the current one.
func (l *lifecycle) rejected(f wire.Frame) {
	why := fmt.Errorf("%w: %s", errRejectedItself, frameEvent{Frame: f}.reason())
	if l.tooLate() {
		l.log.Warn("the new process has rejected itself, and goes on alone", "error", why)
		return
	}
	l.rollBack(why)
}

// heard is a word of the new process.
func (l *lifecycle) heard(f wire.Frame) {
	switch {
	case f.Type == wire.Serves:
		l.relieved()
	case f.Type == wire.Cut:
		l.cutOlder(f)
	case l.trial == nil:
	case f.Type == wire.Reject, f.Type == wire.Failed: // which it says if it has not heard commit yet
		l.rejected(f)
	case f.Type == wire.Settled:
		l.log.Info("the new process ends its probation", "new_pid", l.next.pid())
		l.confirm()
	case f.Type == wire.Again:
		l.pending = true
	case f.Type == wire.Pong && l.trial.due:
		l.confirm()
	}
}

// relieved: the new process reads datagrams, too.
func (l *lifecycle) relieved() {
	if l.next == nil || isClosed(l.next.reads) {
		return
	}
	close(l.next.reads)
	if l.trial == nil {
		return
	}
	l.trial.quiet = only[*PacketConn](l.next.claimed())
	for _, c := range l.trial.quiet {
		c.pause()
	}
}

// lost: the new process can't be heard any more.
func (l *lifecycle) lost() {
	if err := l.next.talk.why; !hungUp(err) {
		l.rollBack(fmt.Errorf("%w: control socket: %w", errHungUpOnProbation, err))
		return
	}
	l.rollBack(errEndedOnProbation)
}

func (l *lifecycle) endTrial() *trial {
	t := l.trial
	l.trial = nil
	t.beat.Stop()
	return t
}

// confirm ends the trial: there is no way back any more, and this process drains.
func (l *lifecycle) confirm() {
	t := l.endTrial()
	if t.pidFile != nil {
		t.pidFile.Discard()
	}
	if t.mover != nil {
		t.mover.widen() // before anybody is told to reconnect
	}
	l.note(control.StepConfirmed, t.result.PID)
	l.beginDrain(StateDraining)
	msg := wire.CommitMsg{DrainMillis: l.cfg.drainTimeout.Milliseconds(), Again: l.pending}
	l.handsOver(l.next, t.result)
	if err := l.next.say(wire.Confirm, msg, parentWait); err != nil {
		l.log.Warn("the new process was not told that its probation is over", "error", err)
	}
	l.upgraded(t.result, t.asker)
}

// rollBack takes the service back.
func (l *lifecycle) rollBack(why error) {
	t, next := l.endTrial(), l.next
	l.next = nil
	l.setState(StateCurrent)
	resumeAll(t.paused)
	for _, c := range t.quiet {
		c.resume()
	}
	l.manager.failed(l.generation, l.elders(), "the last upgrade was rolled back", why)
	if t.mover != nil {
		t.mover.retire()
	}
	next.talk.mute()
	l.recalls++
	if t.pidFile != nil {
		if err := t.pidFile.Commit(); err != nil {
			l.log.Error("the pid file does not name this process", "error", err)
		}
	}
	go func() {
		if errors.Is(why, errEndedOnProbation) && !next.endsWithin(reapWait) {
			why = errHungUpOnProbation
		}
		err := because(ErrRolledBack, next.explain(why))
		l.log.Error("upgrade rolled back; this process serves again", "error", err)
		l.explained <- struct{}{}
		if t.asker != nil {
			t.asker <- upgradeReply{err: err}
		}
		next.recall(why.Error(), l.cfg.stopTime(), l.finished)
		l.log.Debug("the new process is gone", "new_pid", next.pid())
		l.sendBack(next)
	}()
}

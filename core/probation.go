package core

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// Reject says that this version is bad: the process before, which is still there while
// this one is on probation, accepts again, and this one finishes what it has and
// ends. Serve and Upgrader.Err then return ErrAborted with err. Before Ready, Reject
// makes the start fail. It returns nil when the old process has been told, and
// ErrNotOnProbation if there is none that could serve (WithProbation says how long
// there is), or ErrStopped: then nothing changes. Any goroutine may call it, and again.
func Reject(err error) error {
	if u := running.Load(); u != nil {
		return u.Reject(err)
	}
	return ErrNotOnProbation
}

// Reject is the function of that name.
func (u *Upgrader) Reject(err error) error {
	if err == nil {
		err = errors.New("the program did not say why")
	}
	req := rejectRequest{err: err, reply: make(chan error, 1)}
	select {
	case u.rejects <- req:
		return <-req.reply
	case <-u.done:
		return ErrStopped
	}
}

type rejectRequest struct {
	err   error
	reply chan error
}

// verdict is how a probation ended well, for the new process.
type verdict struct {
	limit time.Duration // how long the old process drains
	again bool          // one more upgrade was asked for
}

// probation is a probation as the new process sees it. It is the lifecycle's.
type probation struct {
	paths  []func()         // what was to be removed once there is no way back
	stop   *stopRequest     // what follows the old process's answer; nil for nothing
	giveUp <-chan time.Time // when there is none
}

func (p *probation) givesUp() <-chan time.Time {
	if p == nil {
		return nil
	}
	return p.giveUp
}

// standProbation waits until the old process lets this one go on alone, and runs the
// ready checks meanwhile.
func (u *Upgrader) standProbation(p *parent, d time.Duration) {
	ctx, cancel := context.WithCancel(u.life)
	if len(u.cfg.readyChecks) > 0 {
		go u.checkAgain(ctx, max(d/4, minBeat))
	}
	own := time.NewTimer(addTime(d, aloneAfter))
	defer own.Stop()
	select {
	case <-p.confirmed:
	case <-p.aborted:
	case <-p.gone:
		p.awaitEnd(u.done)
	case <-u.done:
	case <-own.C:
		u.goOnAlone(p)
	}
	cancel()
	v := verdict{limit: u.cfg.drainTimeout}
	switch {
	case isClosed(p.confirmed):
		v = verdict{p.confirm.Drain(), p.confirm.Again}
	case isClosed(p.aborted):
		return // the lifecycle knows
	case isClosed(p.gone):
		u.log.Warn("the old process is gone: there is no way back any more", "old_pid", p.pid())
	}
	select {
	case u.verdicts <- v:
		u.dismissParent(p, v.limit)
	case <-u.done:
	}
}

// goOnAlone ends the probation of a process whose old one does not. It may be this one
// that has stood still, with the word in its socket.
func (u *Upgrader) goOnAlone(p *parent) {
	select {
	case <-p.confirmed:
	case <-p.aborted:
	case <-p.gone:
	case <-time.After(time.Second):
		u.log.Warn("the old process does not end the probation; this one does", "old_pid", p.pid())
		_ = p.say(wire.Settled, nil)
	}
}

// addTime is a+b, or the longest time that there is.
func addTime(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// checkAgain runs the ready checks again and again.
func (u *Upgrader) checkAgain(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		if err := u.check(); err != nil && ctx.Err() == nil {
			u.log.Error("a ready check failed on probation", "error", err)
			_ = u.Reject(err)
			return
		}
	}
}

// reject asks the old process to take the service back.
func (l *lifecycle) reject(err error) error {
	switch {
	case l.State() == StateStarting:
		l.stopNow(stopRequest{err: err, now: true})
		return nil
	case l.probation == nil:
		return ErrNotOnProbation
	}
	l.log.Error("this version is rejected; the old process is asked to serve again", "error", err)
	if err := l.inherited.parent.say(wire.Reject, wire.ReasonMsg{Reason: err.Error()}); err != nil {
		return because(ErrNotOnProbation, err)
	}
	return nil
}

// passed: this process goes on alone.
func (l *lifecycle) passed(v verdict) {
	p := l.inherited.parent
	l.settle(isClosed(p.confirmed) || !p.hungUp())
	if v.again {
		l.pending = true
	}
	if l.State() == StateCurrent {
		l.upgradeAgain()
	}
}

// stopOnProbation is a stop of a process on probation. One that is broken asks the old
// process to serve; one that was asked to stop ends the service, so the old one is to
// drain. The old one's answer comes first: it may just have decided to serve.
func (l *lifecycle) stopOnProbation(req stopRequest) {
	p := l.probation
	broken := req.err != nil
	if p.stop != nil && (broken || p.stop.err == nil) {
		return
	}
	p.stop, p.giveUp = &req, time.After(parentWait)
	var err error
	if broken {
		err = l.reject(req.err)
	} else {
		err = l.inherited.parent.say(wire.Settled, nil)
	}
	if err != nil { // there is nobody who could answer
		l.settle(!l.inherited.parent.hungUp())
	}
}

// settle is the end of the probation. If it is final, whoever ended it, the old process
// will not need again what was kept for it.
func (l *lifecycle) settle(final bool) {
	if l.probation == nil {
		return
	}
	if final {
		if p := l.inherited.parent; p != nil && !p.plain() && l.probation.stop == nil {
			l.manager.serves(l.generation, l.elders())
		}
		l.committed.Store(true)
		for _, remove := range l.probation.paths {
			remove()
		}
	}
	stop := l.probation.stop
	l.probation = nil
	if stop != nil {
		l.stopNow(*stop)
	}
}

// recalled: the old process serves again, and this one finishes what it has.
func (l *lifecycle) recalled() {
	l.aborted = nil
	if l.State() >= StateDraining {
		return
	}
	if l.trial != nil { // the old process had stood still for long
		l.confirm()
		return
	}
	l.cause = because(ErrAborted, errors.New(l.inherited.parent.reason))
	l.log.Error("the old process serves again; this one finishes what it has", "error", l.cause)
	l.probation = nil
	l.committed.Store(false)
	if l.attempt != nil {
		l.attempt.cancel(ErrStopped)
	}
	l.beginDrain(StateDraining)
}

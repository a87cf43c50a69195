package core

import (
	"context"
	"errors"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
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
	return u.request(func(l *lifecycle) error { return l.reject(err) })
}

// reject asks the old process to take the service back.
func (l *lifecycle) reject(err error) error {
	switch {
	case l.state() == StateStarting:
		l.stopNow(stopRequest{err: err, now: true})
		return nil
	case l.incoming.machine.Phase != handover.NewProbation:
		return ErrNotOnProbation
	}
	l.incoming.why = err
	l.stepIncoming(handover.Reject)
	if l.incoming.unsaid != nil {
		return because(ErrNotOnProbation, l.incoming.unsaid)
	}
	return nil
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

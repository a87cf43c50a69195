package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Reject reports that this version is bad. While this process is on probation, the old process
// accepts again. This process finishes its work and ends. Serve and Upgrader.Err then return
// ErrAborted with err. Before Ready, Reject makes the start fail.
//
// Reject returns nil when the old process has been told. The text of err is cut to 4 KiB for that. It returns ErrNotOnProbation if no old
// process could take the service back (see WithProbation), or ErrStopped. Then nothing changes.
// Any goroutine may call Reject, any number of times.
func Reject(err error) error {
	if u := running.Load(); u != nil {
		return u.Reject(err)
	}
	return ErrNotOnProbation
}

// Reject is like the function [Reject].
func (u *Upgrader) Reject(err error) error {
	if err == nil {
		err = errors.New("the program did not say why")
	}
	return u.request(func(l *lifecycle) error { return l.reject(err) })
}

// rejection is what the old process hears of it.
func rejection(err error) wire.RejectMsg {
	if operator := new(operatorError); errors.As(err, &operator) {
		return wire.RejectMsg{ReasonMsg: wire.Because(operator.reason), Operator: true}
	}
	return wire.RejectMsg{ReasonMsg: wire.Because(err.Error())}
}

// heardRejection is why the new process asks this one to serve again.
func heardRejection(f wire.Frame) error {
	var msg wire.RejectMsg
	if f.Type == wire.Reject && f.Decode(&msg) == nil && msg.Operator {
		return &operatorError{text.Reason(msg.Reason)}
	}
	return fmt.Errorf("%w: %s", errRejectedItself, peer.Event{Frame: f}.Reason())
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
			switch rerr := u.Reject(err); {
			case rerr == nil, errors.Is(rerr, ErrStopped):
				return
			default: // the probation may just be over, which ends ctx
				u.log.Warn("the old process was not told; the ready checks go on", "error", rerr)
			}
		}
	}
}

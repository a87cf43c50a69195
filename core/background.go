package core

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// minAgain and maxAgain are the shortest and the longest pause before a function of WhileCurrent that has
	// returned an error is called again.
	minAgain = time.Second
	maxAgain = time.Minute
)

// WhileCurrent adds background work, which only one process of the service does at a time: a scheduler, a consumer
// of a queue, a relay. The function runs in a goroutine in the process that has the service for good. Of several,
// all run at once.
//
// The first process calls it when it accepts. In an upgrade the old process goes on with its work during the
// probation. When the probation is over, the context of the old process's function ends. The new process calls its
// function when the old one's has returned, or the old process has ended. An old process that has taken the service
// back while it drains calls its function again, after the same wait.
//
// At a stop the context ends at once, before the pre-stop delay. The drain waits for the function as for a request,
// after a handover too. A function that has not returned at the deadline is counted as cut, and ends with the
// process.
//
// A function that returns nil has done its work, and is not called again until the service comes back to this
// process. An error is logged, and the function is called again after 1 s, then 2 s, and so on up to 1 min. It does not
// end the service. A panic ends the process, as in any goroutine.
func WhileCurrent(work func(ctx context.Context) error) Option {
	return func(c *config) {
		if work != nil {
			c.work = append(c.work, work)
		}
	}
}

// background is the background work of this process. But for the counts it is the lifecycle's.
type background struct {
	cancel   context.CancelFunc // ends the context of what runs; nil if nothing is to run
	returned chan struct{}      // closed when all functions have returned; nil if they were never called
	running  atomic.Int32       // functions that have not returned
	cut      atomic.Int32       // of them, at the deadline of a drain
	waits    bool               // the log says that it waits for other processes
	told     any                // the process that knows that all have returned: a *peer.Next or *peer.Old
}

// over reports whether no function runs.
func (b *background) over() bool { return b.returned == nil || isClosed(b.returned) }

// call calls the functions.
func (b *background) call(work []func(context.Context) error, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	returned := make(chan struct{})
	b.cancel, b.returned = cancel, returned
	var all sync.WaitGroup
	for _, f := range work {
		b.running.Add(1)
		all.Go(func() {
			defer b.running.Add(-1)
			callAgain(ctx, f, log)
		})
	}
	go func() {
		all.Wait()
		close(returned)
	}()
}

// end ends the context of the functions.
func (b *background) end() {
	if b.cancel != nil {
		b.cancel()
		b.cancel = nil
	}
}

// callAgain calls a function until it has done its work, or the context has ended.
func callAgain(ctx context.Context, work func(context.Context) error, log *slog.Logger) {
	for pause := minAgain; ; pause = min(2*pause, maxAgain) {
		began := time.Now()
		err := work(ctx)
		switch {
		case ctx.Err() != nil:
			log.Debug("background work has returned at the end of its context", "error", err)
			return
		case err == nil:
			log.Info("background work has returned nil: it is done")
			return
		}
		if time.Since(began) > maxAgain {
			pause = minAgain
		}
		log.Error("background work has failed; it is called again", "error", err, "in", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// tendBackground has the background work run in the process that is in charge, and in no other. It looks at all that
// decides over that, after each event of the lifecycle.
func (l *lifecycle) tendBackground() {
	if len(l.cfg.work) == 0 {
		return
	}
	b := &l.u.background
	if !l.inCharge() {
		b.end()
		b.waits = false
		l.tellReturned()
		return
	}
	if b.cancel != nil {
		return
	}
	if others := l.othersWork(); len(others) > 0 || !b.over() {
		if !b.waits {
			b.waits = true
			l.log.Info("background work waits until that of other processes has returned, or they have ended", "pids", others)
		}
		return
	}
	b.waits = false
	l.log.Info("background work begins", "functions", len(l.cfg.work))
	b.call(l.cfg.work, l.log)
	l.stand()
	returned := b.returned
	go func() {
		<-returned
		l.u.post((*lifecycle).stand)
	}()
}

// inCharge reports whether this process has the service for good: no old process can take it back, and no next
// one has it.
func (l *lifecycle) inCharge() bool {
	if s := l.state(); s < StateCurrent || s > StateProbation {
		return false
	}
	p := l.incoming.machine.Phase
	return p == handover.NewFree || p == handover.NewSettled
}

// othersWork lists the processes whose background work may run: those before this one, next processes that this one
// has taken the service back from, and other workers of the supervisor. That knows of more than this one does, such as
// those before an old process that was killed.
func (l *lifecycle) othersWork() (pids []int) {
	for _, p := range l.u.before() {
		if !isClosed(p.Returned) && !isClosed(p.Ended) && !isClosed(p.Left) {
			pids = append(pids, p.PID())
		}
	}
	for _, h := range l.givenUp {
		if h.toldReturned && !h.returned && h.next.Lives() {
			pids = append(pids, h.next.PID())
		}
	}
	if link := l.u.boot.link; link != nil && !isClosed(link.Returned) {
		pids = append(pids, l.u.inherited.working...)
		if len(pids) == 0 {
			pids = []int{link.PID()} // only the supervisor can name them
		}
	}
	return pids
}

// tellReturned tells the process that has the service now that no background work of this one runs any more, nor of
// those before it.
func (l *lifecycle) tellReturned() {
	b := &l.u.background
	if !b.over() || !isClosed(l.phase.accepting) {
		return
	}
	p := l.u.inherited.old
	switch next := l.u.next; {
	case next != nil && !next.Plain && b.told != any(next) && l.state() == StateDraining && len(l.othersWork()) == 0:
		if next.Say(wire.Returned, nil, timing.Say) == nil && l.outgoing != nil {
			l.outgoing.toldReturned = true
		}
		b.told = next
	case p != nil && !p.Plain() && b.told != any(p) && l.incoming.machine.Phase == handover.NewRolledBack:
		_ = p.Say(wire.Returned, nil)
		b.told = p
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

const (
	minEvery      = 100 * time.Millisecond
	upgradeWithin = 10 * time.Second       // from the signal to the first answer, else it has failed
	settleWithin  = 500 * time.Millisecond // from the first answer to where "around the upgrade" ends
)

// trial is one program under load, upgraded again and again. One goroutine owns
// it: what happens comes in over channels, and a nil channel is what can't
// happen now.
type trial struct {
	opts     options
	service  *service
	load     *load.Run
	arrivals *arrivals
	began    time.Time
	lasting  time.Duration

	current  arrival
	signaled time.Time        // when the upgrade under way began
	before   load.Histogram   // latencies up to then
	around   load.Histogram   // latencies of all times around an upgrade
	times    []time.Duration  // of the upgrades that succeeded
	failed   []error          // those that did not
	recent   []load.Result    // of the last second, for the rate and "now"
	due      <-chan time.Time // the next upgrade
	giveUp   <-chan time.Time // the new generation has not answered
	settled  <-chan time.Time // the time around the upgrade is over
}

// try runs the program for the given time, or until ctx ends or nobody reads the
// screen any more, and ends all its processes.
func try(ctx context.Context, p program, lasting time.Duration, opts options, scr *screen) (e entry, err error) {
	s, err := start(ctx, p)
	if err != nil {
		return e, err
	}
	t := newTrial(s, lasting, opts)
	t.watch(ctx, scr)
	result := t.load.Stop()
	scr.show(t.status(result))
	scr.keep()
	e = entry{name: p.name, result: result, upgrades: t.times, failed: t.failed, around: t.around, wrote: s.wrote()}
	return e, s.end(t.current.pid)
}

// newTrial puts the load on a service that answers.
func newTrial(s *service, lasting time.Duration, opts options) *trial {
	t := &trial{opts: opts, service: s, arrivals: newArrivals(s.first), current: s.first, began: time.Now(), lasting: lasting}
	t.load = load.Start(load.Config{Addr: s.addr, Clients: opts.clients, Fresh: opts.fresh, Think: opts.think,
		Observe: t.arrivals.observe})
	return t
}

// watch upgrades and shows until it is time to end. An upgrade that has begun is
// seen through first, unless ctx ends.
func (t *trial) watch(ctx context.Context, scr *screen) {
	t.due = time.After(t.opts.every)
	end := time.After(t.lasting)
	show := time.NewTicker(scr.interval())
	defer show.Stop()
	for ending := false; ; {
		if ending && t.giveUp == nil && t.settled == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-end:
			ending, t.due = true, nil
		case <-t.due:
			t.begin()
		case a := <-t.arrivals.c:
			t.arrived(a)
		case <-t.giveUp:
			t.giveUp = nil
			t.fail(fmt.Errorf("no new process answered within %v", upgradeWithin), ending)
		case <-t.settled:
			t.settled = nil
			t.around.Merge(t.load.Snapshot().Latency.Since(t.before))
			t.next(ending)
		case <-show.C:
			if scr.show(t.status(t.load.Snapshot())); scr.broken() {
				return
			}
			if len(t.service.live()) == 0 {
				t.fail(errors.New("no process is left"), true)
				return
			}
		}
	}
}

// begin asks the current generation to upgrade. It answers before the handover
// to it is complete; the pid file names it from then on, and who asks earlier is
// refused.
func (t *trial) begin() {
	t.due = nil
	if err := t.service.named(t.current.pid); err != nil {
		if t.due = time.After(poll); time.Since(t.current.at) > upgradeWithin {
			t.signaled = time.Now()
			t.fail(err, false)
		}
		return
	}
	t.before, t.signaled = t.load.Snapshot().Latency, time.Now()
	if err := upgrade(t.current.pid); err != nil {
		t.fail(err, false)
		return
	}
	t.giveUp = time.After(upgradeWithin)
}

func (t *trial) arrived(a arrival) {
	t.service.pids = append(t.service.pids, a.pid)
	t.current = a
	if t.giveUp == nil {
		return // too late: it has been counted as failed
	}
	t.times = append(t.times, a.at.Sub(t.signaled))
	t.giveUp, t.settled = nil, time.After(min(settleWithin, t.opts.every/2))
}

func (t *trial) fail(err error, ending bool) {
	t.failed = append(t.failed, fmt.Errorf("upgrade of pid %d: %w", t.current.pid, err))
	t.next(ending)
}

// next sets the time of the upgrade after the one that is over. One that took
// long is followed at once.
func (t *trial) next(ending bool) {
	if !ending {
		t.due = time.After(max(0, t.opts.every-time.Since(t.signaled)))
	}
}

// status sums up where the trial stands.
func (t *trial) status(now load.Result) status {
	t.recent = append(t.recent, now)
	for len(t.recent) > 2 && now.Elapsed-t.recent[1].Elapsed >= time.Second {
		t.recent = t.recent[1:]
	}
	st := status{
		name: t.service.program.name, addr: t.service.addr, elapsed: time.Since(t.began), lasting: t.lasting,
		total: now, pid: t.current.pid, generation: t.current.generation, draining: len(t.service.live()) - 1,
		upgrades: t.times, failed: t.failed, around: t.around, now: now.Latency,
	}
	if was := t.recent[0]; was.Elapsed < now.Elapsed {
		st.rate = float64(now.Requests-was.Requests) / (now.Elapsed - was.Elapsed).Seconds()
		st.now = now.Latency.Since(was.Latency)
	}
	return st
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

const (
	minEvery      = 100 * time.Millisecond
	upgradeWithin = 10 * time.Second       // from the signal to the first answer, or the upgrade has failed
	settleWithin  = 500 * time.Millisecond // from the first answer to the end of "around upgrades"
)

// experiment is one program under load, upgraded again and again.
type experiment struct {
	entry
	opts    options
	out     printer
	service *service
	load    *load.Run
	began   time.Time
	first   sync.Map // the time of a process's first answer, by its X-Pid
}

// entry is the outcome of a program's experiment.
type entry struct {
	name     string
	result   load.Result
	upgrades []time.Duration // of those that succeeded, from the signal to the first answer
	failed   []error         // of those that did not
	around   load.Histogram  // the latencies around upgrades
	wrote    string          // the end of the program's log
}

// try runs the program under load for its time, or until ctx ends or no process is left.
func try(ctx context.Context, p program, lasting time.Duration, opts options, out printer) (*entry, error) {
	if p.versions != "" {
		if err := p.place(0); err != nil {
			return nil, err
		}
	}
	s, err := start(ctx, p)
	if err != nil {
		return nil, err
	}
	out.printf("\n%s: pid %d serves on %s\n", p.name, s.pid(), s.addr)
	if p.versions != "" {
		hide, err := show(ctx, p, out)
		if err != nil {
			return nil, errors.Join(err, s.end())
		}
		defer hide()
	}
	t := &experiment{entry: entry{name: p.name}, opts: opts, out: out, service: s, began: time.Now()}
	t.load = load.Start(load.Config{Addr: s.addr, Clients: opts.clients, Fresh: opts.fresh, Think: opts.think,
		Observe: func(a load.Sample) { t.first.LoadOrStore(a.Server.PID, a.Start.Add(a.Latency)) }})
	t.run(ctx, lasting)
	t.result, t.wrote = t.load.Stop(), s.wrote()
	return &t.entry, s.end()
}

// run upgrades the program until its time is over. An upgrade that has begun is seen
// through first, unless ctx ends. One that took long is followed by the next at once.
func (t *experiment) run(ctx context.Context, lasting time.Duration) {
	end := t.began.Add(lasting)
	for next := t.began.Add(t.opts.every); next.Before(end); next = next.Add(t.opts.every) {
		if !t.wait(ctx, time.Until(next)) {
			break
		}
		next = time.Now()
		if err := t.upgrade(ctx); err != nil {
			t.fail(err)
		}
	}
	t.wait(ctx, time.Until(end))
	select {
	case <-t.service.Ended():
		t.fail(errors.New("no process is left"))
	default:
	}
}

// wait waits for d. It reports false if ctx has ended or no process is left.
func (t *experiment) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
	case <-t.service.Ended():
	}
	return false
}

// upgrade asks the process that serves to upgrade. It waits until the next one has
// answered and the pid file names it: before that gracex refuses another upgrade.
func (t *experiment) upgrade(ctx context.Context) error {
	old, before, began := t.service.pid(), t.load.Snapshot().Latency, time.Now()
	if old == 0 {
		return errors.New("no pid file")
	}
	if err := t.service.Signal(old, upgradeSignal); err != nil {
		return fmt.Errorf("upgrade of pid %d: %w", old, err)
	}
	for time.Since(began) < upgradeWithin {
		if !t.wait(ctx, poll) {
			return nil
		}
		pid := t.service.pid()
		answered, ok := t.first.Load(strconv.Itoa(pid))
		if pid == old || !ok {
			continue
		}
		took := answered.(time.Time).Sub(began)
		t.upgrades = append(t.upgrades, took)
		t.wait(ctx, min(settleWithin, t.opts.every/2))
		now := t.load.Snapshot()
		t.around.Merge(now.Latency.Since(before))
		t.out.printf("%s: upgrade %d took %s, pid %d serves; %s requests, %d lost, %d reconnects\n",
			t.stamp(), len(t.upgrades), millis(took), pid, number(now.Requests), now.Failed, now.Reconnects)
		return nil
	}
	return fmt.Errorf("upgrade of pid %d: no new process answered within %v", old, upgradeWithin)
}

// fail notes that an upgrade failed.
func (t *experiment) fail(err error) {
	t.failed = append(t.failed, err)
	t.out.printf("%s: %v\n", t.stamp(), err)
}

// stamp begins a line.
func (t *experiment) stamp() string {
	return fmt.Sprintf("%s %s", t.name, seconds(time.Since(t.began)))
}

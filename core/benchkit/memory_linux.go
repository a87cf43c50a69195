package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// memory measures what connections cost before and after they have moved, and what a process holds that drains.
func (k *kit) memory(ctx context.Context) error {
	n := k.memoryConns
	return k.compare(ctx, "memory", fmt.Sprintf("Resident memory with so many idle connections, and with one request that holds the drain"+
		" of the old process: before the signal, and %v after the connections have moved. The memory of a connection is what the process has more than one"+
		" without connections. Median (lowest..highest) of %d.", k.settle, k.memoryRounds),
		[]string{"idle connection, kB", "old before, MB", "old in its drain, MB", "CPU of the old meanwhile, ms", "new, MB", "parked connection, kB"},
		[]cell{{
			name: strconv.Itoa(n), conns: n + 1, rounds: k.memoryRounds,
			measure: func(ctx context.Context, b build) (figures, losses, error) { return k.memoryOnce(ctx, b, n) },
		}})
}

func (k *kit) memoryOnce(ctx context.Context, b build, n int) (_ figures, lost losses, err error) {
	s, err := b.start(ctx, k)
	if err != nil {
		return nil, lost, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	// The process that is compared with is one that an upgrade has started, as the others are.
	if _, err := s.upgrade(ctx); err != nil {
		return nil, lost, err
	}
	if err := pause(ctx, k.settle); err != nil {
		return nil, lost, err
	}
	empty := resident(s.current.pid)
	idle, err := s.dial(ctx, n)
	if err != nil {
		return nil, lost, err
	}
	slow, err := s.dial(ctx, 1)
	if err != nil {
		return nil, lost, err
	}
	lost.add(idle.ask())
	lost.add(slow.hold())
	old := s.current.pid
	before, used := resident(old), cpu(old)
	u, err := s.begin(ctx)
	if err == nil {
		err = u.moved(ctx, n)
	}
	if err == nil {
		err = pause(ctx, k.settle)
	}
	during, after := resident(old), resident(u.next.pid)
	used = cpu(old) - used
	lost.add(slow.release())
	if err == nil {
		err = u.finish(ctx)
	}
	if err != nil {
		return nil, lost, err
	}
	lost.add(idle.ask())
	each := func(bytes int) float64 { return float64(bytes-empty) / 1000 / float64(max(n, 1)) }
	return figures{
		{each(before)}, {megabytes(before)}, {megabytes(during)}, {milliseconds(used)}, {megabytes(after)}, {each(after)},
	}, lost, nil
}

// moved waits until the new process has n descriptors, so that n connections have come. An old process that has ended
// before has lost them.
func (u *upgrade) moved(ctx context.Context, n int) error {
	for late := time.Now().Add(patience); descriptors(u.next.pid) < n && u.service.Has(u.old.pid); {
		if time.Now().After(late) {
			return fmt.Errorf("%d connections have not moved within %v: the new process has %d descriptors", n, patience, descriptors(u.next.pid))
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

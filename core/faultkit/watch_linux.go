package main

import (
	"context"
	"slices"
	"time"
)

const (
	watchEvery = 500 * time.Millisecond
	// maxLive is far above the number of generations that a few seconds of drain
	// leave; zombieAfter and overdue are far above the time that it all takes.
	maxLive     = 64
	zombieAfter = 5 * time.Second
	overdue     = 20 * time.Second
)

// watch looks at the processes while the load runs, and says how it goes.
type watch struct {
	*soak
	zombies map[int]time.Time // since when each is seen
	told    map[int]bool      // that are wrong and were reported
	most    int               // that lived at a time
	now     int
}

func newWatch(s *soak) *watch {
	return &watch{soak: s, zombies: map[int]time.Time{}, told: map[int]bool{}}
}

// run watches until ctx ends. If no process is left it gives up.
func (w *watch) run(ctx context.Context, giveUp func()) {
	look := time.NewTicker(watchEvery)
	defer look.Stop()
	tell := time.NewTicker(min(w.soakFor/progressShare, maxSilence))
	defer tell.Stop()
	for {
		select {
		case <-look.C:
			if !w.look() {
				w.verdict.fail(checkGenerations, "%v", errAllEnded)
				giveUp()
			}
		case <-tell.C:
			w.verdict.say("%s", w.progress())
		case <-ctx.Done():
			return
		}
	}
}

// look reports whether any process lives.
func (w *watch) look() bool {
	var live, zombies []int
	for _, p := range w.group.members() {
		if p.Ended() {
			zombies = append(zombies, p.PID)
		} else {
			live = append(live, p.PID)
		}
	}
	w.judge(time.Now(), live, zombies, w.journal.look().history)
	return len(live) > 0
}

// judge looks at the processes of a moment, and what the log says of them.
func (w *watch) judge(now time.Time, live, zombies []int, history []generation) {
	w.now, w.most = len(live), max(w.most, len(live))
	if w.now > maxLive {
		w.verdict.fail(checkGenerations, "%d live at a time", w.now)
	}
	for pid := range w.zombies {
		if !slices.Contains(zombies, pid) {
			delete(w.zombies, pid)
		}
	}
	for _, pid := range zombies {
		since, seen := w.zombies[pid]
		if !seen {
			w.zombies[pid] = now
		} else if now.Sub(since) > zombieAfter && !w.told[pid] {
			w.told[pid] = true
			w.verdict.fail(checkZombies, "pid %d has ended %v ago", pid, now.Sub(since).Round(time.Second))
		}
	}
	for n, g := range history {
		if late := now.Sub(g.handed); !g.handed.IsZero() && g.ended.IsZero() && late > overdue && !w.told[g.pid] {
			w.told[g.pid] = true
			w.verdict.fail(checkGenerations, "generation %d, pid %d, has handed over %v ago and still lives", n, g.pid, late.Round(time.Second))
		}
	}
}

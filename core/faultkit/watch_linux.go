package main

import (
	"cmp"
	"context"
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

// keepWatch looks at the processes while the load runs, and says how it goes, until ctx
// ends. If no process is left it gives up.
func (s *soak) keepWatch(ctx context.Context, giveUp func()) {
	tell := time.NewTicker(min(s.soakFor/progressShare, maxSilence))
	defer tell.Stop()
	for pause(ctx, watchEvery) == nil {
		var live, zombies []int
		for _, p := range s.group.members() {
			if p.Ended() {
				zombies = append(zombies, p.PID)
			} else {
				live = append(live, p.PID)
			}
		}
		s.watch.judge(time.Now(), len(live), zombies, s.journal.look().history)
		if len(live) == 0 {
			s.verdict.fail(checkGenerations, "%v", errAllEnded)
			giveUp()
		}
		select {
		case <-tell.C:
			s.verdict.say("%s", s.progress())
		default:
		}
	}
}

// watch is what is seen of the processes.
type watch struct {
	verdict *verdict
	zombies map[int]time.Time // since when each is seen
	told    map[int]bool      // that are wrong and were reported
	most    int               // that lived at a time
	now     int
}

// judge looks at the processes of a moment, and what the log says of them.
func (w *watch) judge(now time.Time, live int, zombies []int, history []generation) {
	w.now, w.most = live, max(w.most, live)
	if live > maxLive {
		w.verdict.fail(checkGenerations, "%d live at a time", live)
	}
	before := w.zombies
	w.zombies = map[int]time.Time{}
	for _, pid := range zombies {
		w.zombies[pid] = cmp.Or(before[pid], now)
		w.late(pid, now.Sub(w.zombies[pid]), zombieAfter, checkZombies, "has ended")
	}
	for _, g := range history {
		if !g.handed.IsZero() && g.ended.IsZero() {
			w.late(g.pid, now.Sub(g.handed), overdue, checkGenerations, "still lives, and has handed over")
		}
	}
}

// late fails a check, once for a process, if something was too long ago.
func (w *watch) late(pid int, ago, limit time.Duration, c check, has string) {
	if ago > limit && !w.told[pid] {
		w.told[pid] = true
		w.verdict.fail(c, "pid %d %s %v ago", pid, has, ago.Round(time.Second))
	}
}

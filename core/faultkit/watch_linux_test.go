package main

import (
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	history := []generation{{pid: 1, handed: at}, {pid: 2, handed: at, ended: at.Add(time.Second)}, {pid: 3}}

	v := newVerdict(t.Output())
	w := watch{verdict: v, told: map[int]bool{}}
	w.judge(at, maxLive, []int{7, 8}, history)
	w.judge(at.Add(zombieAfter), 2, []int{7}, history)
	w.judge(at.Add(overdue), 0, []int{8}, history)
	if v.err() != nil || w.most != maxLive || w.now != 0 {
		t.Errorf("most %d, now %d: %v", w.most, w.now, v.err())
	}
	for range 2 {
		w.judge(at.Add(overdue+1), maxLive+1, []int{8}, history)
	}
	w.judge(at.Add(overdue+zombieAfter+1), 0, []int{8}, history)
	if live := v.found[checkGenerations]; live != 3 { // two looks at too many, and the one that is late
		t.Errorf("%d failures of %s", live, checkGenerations)
	}
	if v.found[checkZombies] != 1 {
		t.Errorf("%d failures of %s", v.found[checkZombies], checkZombies)
	}
}

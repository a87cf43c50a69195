package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// books is what a soak has written down, when all has ended.
type books struct {
	*journalState
	clients load.Result
	returns []comeback
	exits   []procgroup.Exit
	trend   trend
}

// sums is what the whole comes to.
type sums struct {
	accepted, moved int             // connections, of all ledgers
	took            []time.Duration // of the upgrades, sorted
	longest         time.Duration   // drain
}

// audit compares what all of them say.
func (b *books) audit(v *verdict) sums {
	b.auditReturns(v)
	b.auditExits(v)
	b.trend.check(v)
	return b.auditLedgers(v)
}

// auditLedgers compares the ledgers of all generations with each other and with what clients have counted.
func (b *books) auditLedgers(v *verdict) (s sums) {
	answered := make([]int, len(b.history))
	for who, n := range b.clients.Served {
		if who == (load.Server{}) {
			continue // of an echo, which is no request
		}
		g, err := strconv.Atoi(who.Generation)
		if err != nil || g < 0 || g >= len(answered) {
			v.fail(checkLedgers, "%d answers of generation %q, which has never been", n, who.Generation)
			continue
		}
		answered[g] += n
	}
	moving := 0 // connections that elders have given away and nobody has adopted yet; an ended generation is passed by
	for n, g := range b.history {
		if g.ledger == nil {
			v.fail(checkLedgers, "generation %d has left none", n)
			continue
		}
		s.accepted, s.moved = s.accepted+g.ledger["accepted"], s.moved+g.ledger["moved"]
		if !g.handed.IsZero() {
			s.took = append(s.took, g.took)
			s.longest = max(s.longest, g.ended.Sub(g.handed))
		}
		for name, k := range g.ledger {
			if k > 0 && (name == "refused" || name == "closed_idle" || strings.HasPrefix(name, "cut_")) {
				v.fail(checkLedgers, "generation %d: %s is %d", n, name, k)
			}
		}
		if k := g.ledger["served"]; k != answered[n] {
			v.fail(checkLedgers, "generation %d has served %d requests, and clients have %d answers", n, k, answered[n])
		}
		if moving -= g.ledger["adopted"]; moving < 0 {
			v.fail(checkLedgers, "generation %d has adopted %d connections more than have moved", n, -moving)
		}
		moving += g.ledger["moved"]
	}
	if moving > 0 {
		v.fail(checkLedgers, "%d connections have moved and were not adopted", moving)
	}
	if s.accepted != b.clients.Connects {
		v.fail(checkLedgers, "%d connections were accepted, and clients have dialed %d", s.accepted, b.clients.Connects)
	}
	slices.Sort(s.took)
	return s
}

// handingOver is how far a handover's line in the log may be from its beginning, on a machine that is busy.
const handingOver = 5 * time.Second

// auditReturns looks at the clients that came back to a generation which had told
// them to close. It says so from the moment that it hands over, and stops accepting
// a moment later, so that some come back to it; at any other time it must not.
func (b *books) auditReturns(v *verdict) {
	for _, r := range b.returns {
		if r.generation >= len(b.history) {
			continue // the ledgers have said that there is none
		}
		if handed := b.history[r.generation].handed; handed.IsZero() || handed.Sub(r.at).Abs() > handingOver {
			v.fail(checkConnections, "%s: client %d had to connect anew to generation %d, which did not hand over then",
				r.row, r.client, r.generation)
		}
	}
}

// auditExits looks at how processes have ended. One that has ended its drain may be
// ended by a signal that comes too late for it: it has stopped to listen to them.
func (b *books) auditExits(v *verdict) {
	for _, e := range b.exits {
		ended := slices.ContainsFunc(b.history, func(g generation) bool { return g.pid == e.PID && !g.ended.IsZero() })
		if e.Status != 0 && !slices.Contains(b.onPurpose, e.PID) && (e.Signal == "" || !ended) {
			v.fail(checkEnd, "%v", e)
		}
	}
	for pid, how := range b.planned {
		v.fail(checkUpgrades, "pid %d failed on purpose (%s), and no upgrade has", pid, how)
	}
}

// trend is what generations held when they were of the same age, in all of the run or a part of it.
type trend []own.Census

// minPart is how many samples each part of the run has to have: fewer say little.
const minPart = 4

// thirds returns the first and the last third of the samples, and nothing if there are too few.
func (t trend) thirds() (first, last trend) {
	n := len(t) / 3
	if n < minPart {
		return nil, nil
	}
	return t[:n], t[len(t)-n:]
}

// quantile is one of a measure by itself.
func (t trend) quantile(q float64, of func(own.Census) int) int {
	values := make([]int, len(t))
	for i, c := range t {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)-1)+0.5)]
}

// measure is what must not grow. It may be more than it was by a share, and by what one more of something takes.
type measure struct {
	name  string
	check check
	of    func(own.Census) int
	share float64
	more  int
	size  bool // it is in bytes
}

const moreMemory = 2 << 20

// Descriptors without connections are a measure: each of the two varies more than what is between them.
var (
	heap     = measure{"heap", checkMemory, func(c own.Census) int { return c.Heap }, 0.1, moreMemory, true}
	measures = []measure{
		heap,
		{"memory (RSS)", checkMemory, func(c own.Census) int { return c.RSS }, 0.1, moreMemory, true},
		{"descriptors without clients'", checkDescriptors, own.Census.Own, 0, 2, false},
		{"goroutines", checkGoroutines, func(c own.Census) int { return c.Goroutines }, 0.1, 8, false},
	}
	// What nobody asks has nothing that varies.
	quietMeasures = []measure{
		heap,
		{"descriptors", checkDescriptors, func(c own.Census) int { return c.Descriptors }, 0, 0, false},
		{"goroutines", checkGoroutines, func(c own.Census) int { return c.Goroutines }, 0, 0, false},
	}
)

// words is a value with its unit.
func (m measure) words(n int) string {
	if m.size {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprint(n)
}

// compare fails the check if the measure has grown.
func (m measure) compare(was, is int, where string, v *verdict) {
	if float64(is) > float64(was)*(1+m.share)+float64(m.more) {
		v.fail(m.check, "%s: from %s to %s, %s", m.name, m.words(was), m.words(is), where)
	}
}

// check compares the last part of the run with the first: what is quite low there
// with what is quite high here, because what a generation holds in a moment depends
// on what it is asked just then. With too few samples it does nothing; the summary says so.
func (t trend) check(v *verdict) {
	if first, last := t.thirds(); first != nil {
		for _, m := range measures {
			m.compare(first.quantile(0.75, m.of), last.quantile(0.25, m.of), "over the run", v)
		}
	}
}

const (
	watchEvery = 500 * time.Millisecond
	// maxLive is far above the number of generations that a few seconds of drain
	// leave; zombieAfter and overdue are far above the time that it all takes.
	maxLive     = 64
	zombieAfter = 5 * time.Second
	overdue     = 20 * time.Second
)

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

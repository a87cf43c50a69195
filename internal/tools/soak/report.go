package main

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// progress is one line on how it goes.
func (w *watch) progress() string {
	state, now := w.service.journal.look(), w.crowd.snapshot()
	line := fmt.Sprintf("%6v  %d upgrades, %d failed on purpose  %s requests, %d lost  %s connections, %d of those that keep theirs",
		time.Since(w.began).Round(time.Second), max(state.newest(), 0), state.failures(),
		thousands(now.Requests), now.Failed, thousands(now.Connects), w.crowd.reconnects(keeps))
	if c, ok := w.trend.last(); ok {
		line += fmt.Sprintf("  heap %s, RSS %s  %d descriptors, %d of its own  %d goroutines", size(c.Heap), size(c.RSS), c.Descriptors, c.own(), c.Goroutines)
	}
	return line + fmt.Sprintf("  %d alive", w.now)
}

// summary is what a page can quote.
func (s *soak) summary(sc *schedule) string {
	state := s.service.journal.look()
	var b strings.Builder
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	b.WriteString("\n| | |\n|---|---|\n")
	row("time under load", "%v, seed %d, %s %s/%s, %d processors",
		s.elapsed.Round(time.Second), s.seed, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	row("upgrades", "%s, each in p50 %v, p99 %v, at most %v from the signal to ready", thousands(len(s.sums.took)),
		at(s.sums.took, 0.5), at(s.sums.took, 0.99), at(s.sums.took, 1))
	row("... nobody accepted", "for at most %v; the slowest request took %v", short(s.sums.gap), s.crowd.slowest)
	row("failed on purpose", "%d%s", state.failures(), byName(state.failed))
	row("signals", "%s in %s bursts, %d of them to a process that had just handed over",
		thousands(sc.signals), thousands(sc.strikes), state.refused)
	row("requests", "%s", thousands(s.clients.Requests))
	row("**lost**", "**%d**", s.clients.Failed)
	row("connections", "%s dialed, %s moved; %d clients without TLS had to reconnect",
		thousands(s.clients.Connects), thousands(s.sums.Moved), s.crowd.reconnects(keeps))
	row("... over TLS", "%s times a client was told to connect anew, and %d times had the same generation again",
		thousands(s.crowd.reconnects(leaves)), len(s.crowd.returns))
	row("processes alive", "at most %d, the longest drain took %v", s.watch.most, s.sums.longest.Round(time.Millisecond))
	if early, late := s.trend.thirds(); early != nil {
		first, last := early.at(inTheMiddle), late.at(inTheMiddle)
		row(fmt.Sprintf("a generation %v old", s.sampleAge), "medians of %d, first and last third of the run:", len(s.trend.samples))
		row("... heap", "%s, %s", size(first.Heap), size(last.Heap))
		row("... memory (RSS)", "%s, %s", size(first.RSS), size(last.RSS))
		row("... descriptors without clients'", "%d, %d", first.own(), last.own())
		row("... goroutines", "%d, %d, with %d and %d connections", first.Goroutines, last.Goroutines, first.Connections, last.Connections)
	} else {
		row("a generation of a certain age", "too few samples to compare: %d", len(s.trend.samples))
	}
	first, last := s.quiet[0], s.quiet[1]
	row("without clients", "generation %d before, generation %d after the load:", first.Generation, last.Generation)
	row("... heap", "%s, %s", size(first.Heap), size(last.Heap))
	row("... descriptors", "%d, %d", first.Descriptors, last.Descriptors)
	row("... goroutines", "%d, %d", first.Goroutines, last.Goroutines)
	b.WriteString("\n" + s.crowd.table())
	if err := s.verdict.err(); err != nil {
		fmt.Fprintf(&b, "\n%v\n", err)
	} else {
		b.WriteString("\nall checks have held\n")
	}
	return b.String()
}

// table has a row for each way to ask.
func (c *crowd) table() string {
	var rows []string
	clients, results := map[string]int{}, map[string]load.Result{}
	for _, m := range c.members {
		if !slices.Contains(rows, m.row) {
			rows = append(rows, m.row)
		}
		clients[m.row] += m.clients
		results[m.row] = merge(results[m.row], m.run.Snapshot())
	}
	var b strings.Builder
	b.WriteString("| clients | | requests | lost | connections | p50 | p99 | slowest |\n|---|---|---|---|---|---|---|---|\n")
	for _, row := range rows {
		r := results[row]
		fmt.Fprintf(&b, "| %s | %d | %s | %d | %s | %v | %v | %v |\n", row, clients[row], thousands(r.Requests), r.Failed,
			thousands(r.Connects), short(r.Latency.Quantile(0.5)), short(r.Latency.Quantile(0.99)), short(r.Latency.Max()))
	}
	return b.String()
}

func byName(counts map[string]int) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%d %s", counts[name], name))
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

// at is a quantile of sorted durations.
func at(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return short(sorted[int(q*float64(len(sorted)-1))])
}

// short has three digits or so.
func short(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}

func size(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

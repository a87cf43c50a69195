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
	state, now := w.service.journal.look(), w.mix.snapshot()
	line := fmt.Sprintf("%6v  %d upgrades, %d failed on purpose  %s requests, %d lost  %s connections, %d of those that keep theirs",
		time.Since(w.began).Round(time.Second), max(state.newest(), 0), state.failures(),
		thousands(now.Requests), now.Failed, thousands(now.Connects), w.mix.reconnects(keeps))
	if all := w.trend.all(); len(all) > 0 {
		c := all[len(all)-1]
		line += fmt.Sprintf("  heap %s, RSS %s  %d descriptors, %d of its own  %d goroutines", size(c.Heap), size(c.RSS), c.Descriptors, c.Own(), c.Goroutines)
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
	row("... nobody accepted", "for at most %v; the slowest request took %v", short(s.sums.gap), s.mix.slowest)
	row("failed on purpose", "%d%s", state.failures(), byName(state.failed))
	row("signals", "%s in %s bursts, %d of them to a process that had just handed over",
		thousands(sc.signals), thousands(sc.strikes), state.refused)
	row("requests", "%s", thousands(s.clients.Requests))
	row("**lost**", "**%d**", s.clients.Failed)
	row("connections", "%s dialed, %s moved; %d clients without TLS had to reconnect",
		thousands(s.clients.Connects), thousands(s.sums.moved), s.mix.reconnects(keeps))
	row("... over TLS", "%s times a client was told to connect anew, and %d times had the same generation again",
		thousands(s.mix.reconnects(leaves)), len(s.mix.returns))
	row("processes alive", "at most %d, the longest drain took %v", s.watch.most, s.sums.longest.Round(time.Millisecond))
	all := s.trend.all()
	if early, late := all.thirds(); early != nil {
		first, last := early.at(inTheMiddle), late.at(inTheMiddle)
		row(fmt.Sprintf("a generation %v old", s.sampleAge), "medians of %d, first and last third of the run:", len(all))
		row("... heap", "%s, %s", size(first.Heap), size(last.Heap))
		row("... memory (RSS)", "%s, %s", size(first.RSS), size(last.RSS))
		row("... descriptors without clients'", "%d, %d", first.Own(), last.Own())
		row("... goroutines", "%d, %d, with %d and %d connections", first.Goroutines, last.Goroutines, first.Connections, last.Connections)
	} else {
		row("a generation of a certain age", "too few samples to compare: %d", len(all))
	}
	first, last := s.quiet[0], s.quiet[1]
	row("without clients", "generation %d before, generation %d after the load:", first.generation, last.generation)
	row("... heap", "%s, %s", size(first.Heap), size(last.Heap))
	row("... descriptors", "%d, %d", first.Descriptors, last.Descriptors)
	row("... goroutines", "%d, %d", first.Goroutines, last.Goroutines)
	b.WriteString("\n" + s.mix.table())
	if err := s.verdict.err(); err != nil {
		fmt.Fprintf(&b, "\n%v\n", err)
	} else {
		b.WriteString("\nall checks have held\n")
	}
	return b.String()
}

// table has a row for each way to ask.
func (m *mix) table() string {
	var rows []string
	clients, results := map[string]int{}, map[string]*load.Result{}
	for _, one := range m.members {
		if results[one.row] == nil {
			rows = append(rows, one.row)
			results[one.row] = &load.Result{}
		}
		clients[one.row] += one.clients
		results[one.row].Merge(one.run.Snapshot())
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

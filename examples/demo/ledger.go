package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// entry is what one program's trial comes to.
type entry struct {
	name     string
	result   load.Result
	upgrades []time.Duration // how long each took that succeeded
	failed   []error         // the upgrades that did not
	wrote    string          // the end of the program's log
	around   load.Histogram
}

// ledger is the table at the end, a column a program, and below it what was
// lost and why.
func ledger(entries []entry) string {
	var b strings.Builder
	row := func(title string, cell func(entry) string) {
		fmt.Fprintf(&b, "%-22s", title)
		for _, e := range entries {
			fmt.Fprintf(&b, "%16s", cell(e))
		}
		b.WriteByte('\n')
	}
	latency := func(title string, q float64, of func(entry) load.Histogram) {
		row(title, func(e entry) string { return quantile(of(e), q) })
	}
	all := func(e entry) load.Histogram { return e.result.Latency }
	around := func(e entry) load.Histogram { return e.around }

	row("ledger", func(e entry) string { return e.name })
	b.WriteString(strings.Repeat("-", 22+16*len(entries)) + "\n")
	row("time", func(e entry) string { return seconds(e.result.Elapsed) })
	row("requests", func(e entry) string { return number(e.result.Requests) })
	row("upgrades", func(e entry) string { return number(len(e.upgrades)) })
	if slices.ContainsFunc(entries, func(e entry) bool { return len(e.failed) > 0 }) {
		row("upgrades failed", func(e entry) string { return number(len(e.failed)) })
	}
	row("lost", func(e entry) string { return number(e.result.Failed) })
	row("lost per upgrade", func(e entry) string {
		if len(e.upgrades) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(e.result.Failed)/float64(len(e.upgrades)))
	})
	row("connections opened", func(e entry) string { return number(e.result.Connects) })
	row("reconnects", func(e entry) string { return number(e.result.Reconnects) })
	latency("latency p50", 0.5, all)
	latency("latency p99", 0.99, all)
	latency("slowest request", 1, all)
	latency("p50 around upgrades", 0.5, around)
	latency("p99 around upgrades", 0.99, around)
	row("worst upgrade", func(e entry) string {
		if len(e.upgrades) == 0 {
			return "-"
		}
		return millis(worst(e.upgrades))
	})
	b.WriteByte('\n')
	for _, e := range entries {
		b.WriteString(e.verdict())
	}
	return b.String()
}

// verdict says in words what was lost.
func (e entry) verdict() string {
	var b strings.Builder
	if e.result.Failed == 0 {
		fmt.Fprintf(&b, "%s: nothing lost.\n", e.name)
	} else {
		var reasons []string
		for _, reason := range e.result.ByReason() {
			reasons = append(reasons, fmt.Sprintf("%s %s", number(e.result.Reasons[reason]), reason))
		}
		fmt.Fprintf(&b, "%s: %s lost (%s), the first:\n\t%v\n",
			e.name, plural(e.result.Failed, "request"), strings.Join(reasons, ", "), e.result.Errors[0])
	}
	if n := len(e.failed); n > 0 {
		fmt.Fprintf(&b, "%s: %s failed, the first:\n\t%v\n%s wrote:\n%s\n", e.name, plural(n, "upgrade"), e.failed[0], e.name, e.wrote)
	}
	return b.String()
}

func worst(upgrades []time.Duration) time.Duration { return slices.Max(upgrades) }

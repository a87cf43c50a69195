package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// table compares the programs in Markdown, a column each. Below it stands what was lost and why.
func table(entries []entry, clients int) string {
	var b strings.Builder
	row := func(title string, cell func(entry) string) {
		b.WriteString("| " + title + " |")
		for _, e := range entries {
			b.WriteString(" " + cell(e) + " |")
		}
		b.WriteByte('\n')
	}
	row("", func(e entry) string { return e.name })
	b.WriteString(strings.Repeat("|---", len(entries)+1) + "|\n")
	row("time", func(e entry) string { return seconds(e.result.Elapsed) })
	row("requests", func(e entry) string { return number(e.result.Requests) })
	row("upgrades", func(e entry) string { return number(len(e.upgrades)) })
	row("**lost**", func(e entry) string { return "**" + number(e.result.Failed) + "**" })
	row(fmt.Sprintf("**reconnects of the %d that keep their connection**", clients),
		func(e entry) string { return "**" + number(e.result.Reconnects) + "**" })
	row("latency p50 / p99, all the time", func(e entry) string { return quantiles(e.result.Latency) })
	row("latency p50 / p99, around upgrades", func(e entry) string { return quantiles(e.around) })
	row("slowest request", func(e entry) string { return millis(e.result.Latency.Max()) })
	row("slowest upgrade, signal to first answer", func(e entry) string {
		if len(e.upgrades) == 0 {
			return "-"
		}
		return millis(slices.Max(e.upgrades))
	})
	b.WriteByte('\n')
	for _, e := range entries {
		if e.result.Failed == 0 {
			fmt.Fprintf(&b, "%s: nothing lost\n", e.name)
		} else {
			e.result.Errors = e.result.Errors[:1]
			fmt.Fprintf(&b, "%s: %v\n", e.name, e.result)
		}
		for _, err := range e.failed {
			fmt.Fprintf(&b, "%s: %v\n", e.name, err)
		}
		if len(e.failed) > 0 {
			fmt.Fprintf(&b, "%s wrote:\n%s\n", e.name, e.wrote)
		}
	}
	return b.String()
}

// number writes n with a comma at the thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// millis writes a latency in the one unit that lets a column be compared.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 100 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// quantiles writes the latencies that half of the requests, and 99 of 100, do not exceed.
func quantiles(h load.Histogram) string {
	if h.Count() == 0 {
		return "-"
	}
	return millis(h.Quantile(0.5)) + " / " + millis(h.Quantile(0.99))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

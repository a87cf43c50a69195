package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// number writes n with a comma at the thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}

// millis writes a latency in the one unit that lets a column be compared.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms >= 100 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", ms)
}

// quantile is the latency that a share q does not exceed, if there is any.
func quantile(h load.Histogram, q float64) string {
	if h.Count() == 0 {
		return "-"
	}
	return millis(h.Quantile(q))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// bar draws how much of the whole has passed.
func bar(part, whole time.Duration) string {
	const width = 20
	full := width
	if part < whole {
		full = int(width * part / whole)
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

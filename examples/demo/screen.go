package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// screen is where the demo shows what happens: a block that is drawn again and
// again on a terminal, a line a second anywhere else.
type screen struct {
	out   *os.File
	live  bool
	color bool
	drawn int   // lines of the block that is on the terminal
	err   error // the first failed write: the reader has gone
}

func newScreen(out *os.File) *screen {
	info, err := out.Stat()
	term := os.Getenv("TERM")
	live := err == nil && info.Mode()&os.ModeCharDevice != 0 && term != "dumb" && term != ""
	// https://no-color.org
	return &screen{out: out, live: live, color: live && os.Getenv("NO_COLOR") == ""}
}

func (s *screen) interval() time.Duration {
	if s.live {
		return 200 * time.Millisecond
	}
	return time.Second
}

// broken says that what is written reaches nobody.
func (s *screen) broken() bool { return s.err != nil }

// print writes a text that stays.
func (s *screen) print(text string) { s.write(strings.TrimSuffix(text, "\n") + "\n") }

func (s *screen) write(text string) {
	if _, err := s.out.WriteString(text); err != nil && s.err == nil {
		s.err = err
	}
}

// keep leaves the block that is drawn where it is; what follows goes below it.
func (s *screen) keep() {
	s.print("")
	s.drawn = 0
}

// show draws the block over the one before, or writes a line.
func (s *screen) show(st status) {
	if !s.live {
		s.print(st.line())
		return
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn) // up to its first line
	}
	b.WriteString("\x1b[?7l") // no wrapping, or a narrow terminal would have more lines than were drawn
	lines := st.block(s.color)
	for _, line := range lines {
		b.WriteString("\r\x1b[K" + line + "\n")
	}
	b.WriteString("\x1b[?7h")
	s.drawn = len(lines)
	s.write(b.String())
}

// status is a trial at one moment.
type status struct {
	name, addr       string
	elapsed, lasting time.Duration
	total            load.Result
	rate             float64 // requests a second, of the last second
	pid              int
	generation       string
	draining         int // older generations that have not ended
	upgrades         []time.Duration
	failed           []error
	now, around      load.Histogram
}

// serving says who serves. The usual recipe does not count its generations, so
// there the demo has to.
func (st status) serving() string {
	if st.name == usualRecipe.name {
		return fmt.Sprintf("pid %d, process %d", st.pid, len(st.upgrades)+1)
	}
	return fmt.Sprintf("pid %d, generation %s", st.pid, st.generation)
}

// line is the status for who can't be drawn for.
func (st status) line() string {
	line := fmt.Sprintf("%s %s: requests %s, failed %s, connections %s, reconnects %s, serving %s, ",
		st.name, seconds(st.elapsed), number(st.total.Requests), number(st.total.Failed), number(st.total.Connects), number(st.total.Reconnects), st.serving())
	if n := len(st.upgrades); n > 0 {
		line += fmt.Sprintf("upgrade %d took %s, ", n, millis(st.upgrades[n-1]))
	}
	line += fmt.Sprintf("p50 %s p99 %s", quantile(st.now, 0.5), quantile(st.now, 0.99))
	if st.around.Count() > 0 {
		line += fmt.Sprintf(", around upgrades p50 %s p99 %s", quantile(st.around, 0.5), quantile(st.around, 0.99))
	}
	if n := len(st.failed); n > 0 {
		line += fmt.Sprintf(", %s failed, the last: %v", plural(n, "upgrade"), st.failed[n-1])
	}
	return line
}

// block is the status for a terminal. It has the same number of lines always.
func (st status) block(color bool) []string {
	paint := func(code, text string) string {
		if !color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	failed := paint("32", fmt.Sprintf("%12s", "0"))
	if st.total.Failed > 0 {
		failed = paint("1;31", fmt.Sprintf("%12s", number(st.total.Failed)))
		if reasons := st.total.ByReason(); len(reasons) > 0 {
			failed += "   mostly " + string(reasons[0])
		}
	}
	serving := st.serving()
	if st.draining > 0 {
		serving += fmt.Sprintf("; %d draining", st.draining)
	}
	last := "none yet"
	if n := len(st.upgrades); n > 0 {
		last = fmt.Sprintf("%12s   from the signal to the new one's first answer; %d done, worst %s",
			millis(st.upgrades[n-1]), n, millis(worst(st.upgrades)))
	}
	if n := len(st.failed); n > 0 {
		last = paint("1;31", fmt.Sprintf("%d failed: %v", n, st.failed[n-1]))
	}
	latency := func(h load.Histogram) string {
		return fmt.Sprintf("p50 %9s   p99 %9s", quantile(h, 0.5), quantile(h, 0.99))
	}
	return []string{
		fmt.Sprintf("%s on %s  %s %s of %s", paint("1", fmt.Sprintf("%-14s", st.name)), st.addr,
			bar(st.elapsed, st.lasting), seconds(min(st.elapsed, st.lasting)), seconds(st.lasting)),
		fmt.Sprintf("  requests      %12s   %s/s", number(st.total.Requests), number(int(st.rate))),
		"  failed        " + failed,
		fmt.Sprintf("  connections   %12s   opened, %s", number(st.total.Connects), plural(st.total.Reconnects, "reconnect")),
		"  serving       " + serving,
		"  last upgrade  " + last,
		"  latency now   " + latency(st.now),
		"  at upgrades   " + latency(st.around),
	}
}

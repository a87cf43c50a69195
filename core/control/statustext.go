package control

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// StatusText returns a status for people, as of now, in lines of at most width columns. What has no room is left
// out, the least important columns first. A width of zero is no limit. What would do something to a terminal is
// escaped.
func StatusText(s Status, now time.Time, width int) string {
	var b strings.Builder
	b.WriteString(text.Printable(s.Program))
	if s.Version != "" {
		b.WriteString("  " + text.Printable(s.Version))
	}
	if s.Supervisor > 0 {
		fmt.Fprintf(&b, "  supervisor %d", s.Supervisor)
	}
	if s.PIDFile != "" {
		b.WriteString("  pid file " + text.Printable(s.PIDFile))
	}
	b.WriteString("\n\n")
	b.WriteString(table(s.Generations, now, width))
	b.WriteString(releaseText(s))
	b.WriteString(movedText(s.Generations))
	b.WriteString(listenersText(s.Generations))
	if s.Elsewhere() {
		b.WriteString("\nThe app runs in another pid namespace, and these are its numbers there.\n")
	}
	if s.LastUpgrade != nil {
		b.WriteString("\n" + s.LastUpgrade.text(now))
	}
	return b.String()
}

// releaseText says which release runs, and which one the next start gets.
func releaseText(s Status) string {
	runs, next := "", text.Printable(s.NextRelease)
	if len(s.Generations) > 0 {
		runs = text.Printable(s.Generations[0].Release)
	}
	switch {
	case runs+next == "":
		return ""
	case runs == next:
		return "\nrelease " + runs + "\n"
	case next == "":
		return "\nruns release " + runs + "\n"
	case runs == "":
		return "\nthe next start gets release " + next + "\n"
	}
	return fmt.Sprintf("\nruns release %s, and the next start gets %s\n", runs, next)
}

// movedText says how many connections have moved.
func movedText(all []Generation) string {
	var b strings.Builder
	for _, g := range all {
		if g.Moved+g.StayedHTTP2+g.StayedTLS == 0 {
			continue
		}
		fmt.Fprintf(&b, "\nprocess %d: %d connections moved", g.PID, g.Moved)
		var of []string
		if g.MovedHTTP2+g.StayedHTTP2 > 0 {
			of = append(of, fmt.Sprintf("HTTP/2: %d, and %d stayed", g.MovedHTTP2, g.StayedHTTP2))
		}
		if g.MovedTLS+g.StayedTLS > 0 {
			of = append(of, fmt.Sprintf("TLS: %d, and %d stayed", g.MovedTLS, g.StayedTLS))
		}
		if of != nil {
			fmt.Fprintf(&b, " (%s)", strings.Join(of, "; "))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// listenersText says where the current process listens, and what no process hands over.
func listenersText(all []Generation) string {
	var b strings.Builder
	for i, g := range all {
		var at []string
		for _, l := range g.Listeners {
			if !l.Outside {
				at = append(at, text.Printable(strings.TrimSpace(l.Name+" "+l.Address)))
			}
		}
		if i == 0 && len(at) > 0 {
			b.WriteString("\nlistens on " + strings.Join(at, ", ") + "\n")
		}
		for _, l := range g.Listeners {
			if l.Outside {
				fmt.Fprintf(&b, "\nprocess %d also listens on %s outside gracex: an upgrade does not hand it over;\n"+
					"open it with core.AlsoServe or core.Listen\n", g.PID, text.Printable(l.Address))
			}
		}
	}
	return b.String()
}

// columns of the table, in the order in which they stand. Those with the highest number go first if there is no
// room.
var columns = []struct {
	title string
	order int
	cell  func(g Generation, now time.Time) string
}{
	{"GEN", 0, func(g Generation, _ time.Time) string { return fmt.Sprint(g.Generation) }},
	{"PID", 0, func(g Generation, _ time.Time) string { return fmt.Sprint(g.PID) }},
	{"STATE", 0, stateText},
	{"VERSION", 1, func(g Generation, _ time.Time) string { return dash(g.Version) }},
	{"AGE", 3, func(g Generation, now time.Time) string { return age(g.Started, now) }},
	{"REQUESTS", 2, func(g Generation, _ time.Time) string { return fmt.Sprint(g.Requests) }},
	{"CONNECTIONS", 4, func(g Generation, _ time.Time) string { return connections(g) }},
	{"MEMORY", 5, func(g Generation, _ time.Time) string { return memory(g.Memory) }},
}

// table is the generations in lines that fit, as far as the most important columns do.
func table(generations []Generation, now time.Time, width int) string {
	for most := len(columns); ; most-- {
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		line := func(cell func(i int) string) {
			var cells []string
			for i, c := range columns {
				if c.order <= most {
					cells = append(cells, text.Printable(cell(i)))
				}
			}
			fmt.Fprintln(w, strings.Join(cells, "\t"))
		}
		line(func(i int) string { return columns[i].title })
		for _, g := range generations {
			line(func(i int) string { return columns[i].cell(g, now) })
		}
		_ = w.Flush() // to a buffer
		tooWide := func(line string) bool { return len(strings.TrimSuffix(line, "\n")) > width }
		if width <= 0 || most == 0 || !slices.ContainsFunc(slices.Collect(strings.Lines(b.String())), tooWide) {
			return b.String()
		}
	}
}

// text is the last upgrade in some lines.
func (l *LastUpgrade) text(now time.Time) string {
	o := l.Outcome
	s := fmt.Sprintf("last upgrade, %s ago: %s\n", age(l.At, now), o)
	if o.OK {
		return s
	}
	// A good one has named both processes.
	if o.NewPID > 0 {
		s += "  the new process was " + Process(o.NewPID, o.Version)
		if o.Release != "" {
			s += ", of release " + text.Printable(o.Release)
		}
		s += "\n"
	}
	s += o.Details()
	if o.OldPID > 0 {
		s += "  " + o.After() + "\n"
	}
	return s
}

func stateText(g Generation, now time.Time) string {
	s := g.State
	if g.Probation {
		s += ", on probation"
	}
	if g.Deadline != nil {
		s += fmt.Sprintf(", cut in %v", max(g.Deadline.Sub(now), 0).Round(time.Second))
	}
	return s
}

// connections are the open ones by what goes on with them.
func connections(g Generation) string {
	s := fmt.Sprintf("%d (%d idle)", g.Connections, g.Idle)
	if g.Hijacked > 0 {
		s += fmt.Sprintf(" + %d hijacked", g.Hijacked)
	}
	return s
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is how long ago something was, in the largest units that say enough.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	d := max(now.Sub(since), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

func memory(bytes uint64) string {
	const mib = 1 << 20
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mib)
}

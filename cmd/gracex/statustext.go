package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// statusText is a status for people, as of now.
func statusText(s control.Status, now time.Time) string {
	var b strings.Builder
	b.WriteString(s.Program)
	if s.Version != "" {
		b.WriteString("  " + s.Version)
	}
	if s.Supervisor > 0 {
		fmt.Fprintf(&b, "  supervisor %d", s.Supervisor)
	}
	if s.PIDFile != "" {
		b.WriteString("  pid file " + s.PIDFile)
	}
	b.WriteString("\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GEN\tPID\tSTATE\tVERSION\tAGE\tREQUESTS\tCONNECTIONS\tMEMORY")
	for _, g := range s.Generations {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%d\t%s\t%s\n", g.Generation, g.PID, stateText(g, now), dash(g.Version),
			age(g.Started, now), g.Requests, connections(g), memory(g.Memory))
	}
	_ = w.Flush() // to a buffer
	b.WriteString(listenersText(s.Generations))
	return b.String()
}

// listenersText says where the current process listens, and what no process hands over.
func listenersText(all []control.Generation) string {
	var b strings.Builder
	for i, g := range all {
		var at []string
		for _, l := range g.Listeners {
			if !l.Outside {
				at = append(at, strings.TrimSpace(l.Name+" "+l.Address))
			}
		}
		if i == 0 && len(at) > 0 {
			b.WriteString("\nlistens on " + strings.Join(at, ", ") + "\n")
		}
		for _, l := range g.Listeners {
			if l.Outside {
				fmt.Fprintf(&b, "\nprocess %d also listens on %s outside gracex: an upgrade does not hand it over;\n"+
					"open it with core.AlsoServe or core.Listen\n", g.PID, l.Address)
			}
		}
	}
	return b.String()
}

func stateText(g control.Generation, now time.Time) string {
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
func connections(g control.Generation) string {
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

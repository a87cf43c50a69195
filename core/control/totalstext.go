package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// TotalsText returns the counts of a service for people, as of now. What would do something to a terminal is escaped.
func TotalsText(t Totals, now time.Time) string {
	var b strings.Builder
	if t.Since.IsZero() {
		b.WriteString("counted since an unknown time\n")
	} else {
		fmt.Fprintf(&b, "counted since %s, for %s\n", moment(t.Since, now), age(t.Since, now))
	}
	if len(t.Total.Servers) > 0 {
		b.WriteString("\n" + serversTable(t.Total.Servers))
	}
	if len(t.Processes) > 0 {
		b.WriteString("\n" + accountsTable(t.Processes, now))
	}
	b.WriteByte('\n')
	rows(&b, [][2]string{
		{"upgrades", upgradesText(t.Total)},
		{"upgrade time", tookText(t.Total.UpgradeSeconds)},
		{"last good one", ago(t.LastSuccess, now)},
		{"last bad one", ago(t.LastFailure, now)},
		{"moved", movedCountsText(t.Total)},
		{"stayed", stayedCountsText(t.Total.Stayed)},
		{"closed", closedText(t.Total)},
		{"cut", cutText(t.Total)},
		{"drain time", tookText(t.Total.DrainSeconds)},
		{"measured", measuredText(t.Total)},
	})
	b.WriteString(missingText(t, now))
	return b.String()
}

// ServersText returns what stands below a status: what the servers of the service have done since its first start, and
// what has moved. It is made of what Client.Totals has returned, and empty if the app's gracex is too old for that.
func ServersText(t Totals, err error, now time.Time) string {
	switch {
	case err != nil && !errors.Is(err, ErrVersion):
		return fmt.Sprintf("\nthe totals of the service are not known: %v\n", text.Error(err))
	case err != nil, len(t.Total.Servers) == 0:
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nall processes of the service, since %s:\n", moment(t.Since, now))
	b.WriteString(serversTable(t.Total.Servers))
	rows(&b, [][2]string{{"moved", movedCountsText(t.Total)}, {"stayed", stayedCountsText(t.Total.Stayed)}})
	b.WriteString(missingText(t, now))
	return b.String()
}

// rows writes what has something to say, the names in a column of their own.
func rows(b *strings.Builder, all [][2]string) {
	for _, row := range all {
		if row[1] != "" {
			fmt.Fprintf(b, "%-14s  %s\n", row[0], row[1])
		}
	}
}

func serversTable(servers []ServerCounts) string {
	return tabulated("SERVER\tREQUESTS\tCONNECTIONS", servers, func(s ServerCounts) []any {
		return []any{s.Server, s.Requests, s.Accepted}
	})
}

func accountsTable(processes []Account, now time.Time) string {
	return tabulated("GEN\tPID\tSTATE\tVERSION\tREQUESTS\tCONNECTIONS\tMOVED\tOPEN\tTOLD", processes, func(a Account) []any {
		state := a.State
		if a.Ended {
			state = "ended"
		}
		told := "now"
		if now.Sub(a.Told) >= time.Second {
			told = ago(a.Told, now)
		}
		return []any{
			a.Generation, a.PID, state, dash(a.Version), a.Counts.Requests(), a.Counts.Accepted(), a.Counts.MovedConnections(),
			openText(a.Open), dash(told),
		}
	})
}

// tabulated is a table with a row for each of all.
func tabulated[T any](head string, all []T, cells func(T) []any) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, one := range all {
		var row []string
		for _, cell := range cells(one) {
			row = append(row, strings.ReplaceAll(text.Printable(fmt.Sprint(cell)), "\t", " "))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // to a buffer
	return b.String()
}

func openText(o Open) string {
	s := fmt.Sprintf("%d (%d busy)", o.Connections, o.Requests)
	if o.Hijacked > 0 {
		s += fmt.Sprintf(" + %d hijacked", o.Hijacked)
	}
	return s
}

// outcomes are those of upgrades, in the order in which they are shown.
var outcomes = []string{KindUpgraded, KindFailed, KindTimedOut, KindRolledBack, OutcomeTakenBack, KindRefused}

// upgradesText is the upgrades by what has become of them.
func upgradesText(c Counts) string {
	known := slices.Clone(outcomes)
	for _, u := range c.Upgrades {
		if !slices.Contains(known, u.Outcome) {
			known = append(known, u.Outcome)
		}
	}
	var all []string
	for _, outcome := range known {
		n := c.UpgradesWith(outcome)
		if n == 0 {
			continue
		}
		s := fmt.Sprintf("%d %s", n, words(outcome))
		if why := reasonsText(c.Upgrades, outcome, n); why != "" {
			s += " (" + why + ")"
		}
		all = append(all, s)
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, "; ")
}

// reasonsText is why n upgrades had the outcome, with numbers if there is more than one reason.
func reasonsText(upgrades []UpgradeCounts, outcome string, n uint64) string {
	var why []string
	for _, u := range upgrades {
		switch {
		case u.Outcome != outcome || u.Reason == "" || u.Count == 0:
		case u.Count == n:
			return words(u.Reason)
		default:
			why = append(why, fmt.Sprintf("%d %s", u.Count, words(u.Reason)))
		}
	}
	return strings.Join(why, ", ")
}

// tookText is how long they took on average; empty for none.
func tookText(h Histogram) string {
	if h.Count == 0 {
		return ""
	}
	mean := time.Duration(h.Sum / float64(h.Count) * float64(time.Second))
	return fmt.Sprintf("%v on average of %d", mean.Round(time.Millisecond), h.Count)
}

// measuredText is what the requests took that were measured.
func measuredText(c Counts) string {
	h := c.RequestSeconds
	if h.Count == 0 {
		return ""
	}
	within := func(q float64) time.Duration {
		return time.Duration(h.Quantile(q) * float64(time.Second)).Round(time.Microsecond)
	}
	return fmt.Sprintf("%s: half of them within %v, 99 %% within %v; %s", many(h.Count, "request"), within(0.5), within(0.99),
		many(c.RequestErrors, "error"))
}

// protocols are how they are written for people.
var protocols = map[string]string{
	ProtocolHTTP1: "HTTP/1", ProtocolHTTP2: "HTTP/2", ProtocolWebSocket: "WebSocket", ProtocolOther: "by core.Handoff", ProtocolTLS: "TLS",
}

func protocol(name string) string {
	if s := protocols[name]; s != "" {
		return s
	}
	return text.Printable(name)
}

// movedCountsText is the connections that have moved by their protocols.
func movedCountsText(c Counts) string {
	var of []string
	for _, m := range c.Moved {
		if m.Connections == 0 {
			continue
		}
		s := fmt.Sprintf("%d %s", m.Connections, protocol(m.Protocol))
		if m.TLS {
			s += " over TLS"
		}
		of = append(of, s)
	}
	if of == nil {
		return ""
	}
	s := many(c.MovedConnections(), "connection") + ": " + strings.Join(of, ", ")
	if c.StateBytes > 0 {
		s += fmt.Sprintf("; %s of state", size(c.StateBytes))
	}
	return s
}

// stayedCountsText is the connections that were to move and did not, by the reason.
func stayedCountsText(stayed []StayedCounts) string {
	var sum uint64
	var of []string
	for _, s := range stayed {
		if s.Connections > 0 {
			sum += s.Connections
			of = append(of, fmt.Sprintf("%d %s (%s)", s.Connections, protocol(s.Protocol), words(s.Reason)))
		}
	}
	if of == nil {
		return ""
	}
	return many(sum, "connection") + ": " + strings.Join(of, ", ")
}

// closedText is the connections that were closed without a cut.
func closedText(c Counts) string {
	return list(func(n uint64, what string) string { return fmt.Sprintf("%d %s", n, what) },
		counted{c.ClosedPolitely, "after an answer that said so"}, counted{c.ClosedIdle, "idle"},
		counted{c.Refused, "not taken by the next process"})
}

func cutText(c Counts) string {
	s := list(many, counted{c.CutRequests, "request"}, counted{c.CutConnections, "connection"},
		counted{c.CutHijacked, "hijacked connection"}, counted{c.CutSockets, "datagram socket"},
		counted{c.CutBackground, "background function"})
	if s == "" {
		return "nothing"
	}
	return s
}

// counted is a number of something.
type counted struct {
	n    uint64
	what string
}

// list is what there is any of.
func list(say func(n uint64, what string) string, all ...counted) string {
	var of []string
	for _, c := range all {
		if c.n > 0 {
			of = append(of, say(c.n, c.what))
		}
	}
	return strings.Join(of, ", ")
}

// missingText says what nobody knows.
func missingText(t Totals, now time.Time) string {
	n := max(t.MissingCount, uint64(len(t.Missing)))
	if n == 0 {
		return ""
	}
	var b strings.Builder
	if n == 1 {
		b.WriteString("\n1 process was killed before its last word. Missing in all sums is what it has counted")
	} else {
		fmt.Fprintf(&b, "\n%d processes were killed before their last word. Missing in all sums is what they have counted", n)
	}
	b.WriteString(":\n")
	for _, m := range t.Missing {
		since := "all the time"
		if !m.Told.IsZero() {
			since = "after " + moment(m.Told, now)
		}
		fmt.Fprintf(&b, "  generation %d, %s, %s\n", m.Generation, Process(m.PID, m.Version), since)
	}
	if more := n - uint64(len(t.Missing)); more > 0 {
		fmt.Fprintf(&b, "  %d before these\n", more)
	}
	return b.String()
}

// moment is a time, as of now's place.
func moment(t, now time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.In(now.Location()).Format(time.DateTime)
}

// ago is how long ago something was; empty for never.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return age(t, now) + " ago"
}

// words is a name of this package for people.
func words(name string) string { return text.Printable(strings.ReplaceAll(name, "_", " ")) }

// many says how many there are of a thing.
func many(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// size is a number of bytes for people.
func size(bytes uint64) string {
	const kib, mib = 1 << 10, 1 << 20
	switch {
	case bytes < kib:
		return many(bytes, "byte")
	case bytes < mib:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/kib)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mib)
}

package page

import (
	"cmp"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// point is a moment of the plots: what has happened since the point before.
type point struct {
	Seq       int       `json:"seq"`
	Time      int64     `json:"t"`        // in milliseconds since 1970
	Requests  float64   `json:"requests"` // a second, of the whole service
	Versions  []rate    `json:"versions"`
	Processes []process `json:"processes"` // that run, newest first
}

// rate is what the processes of one version have done.
type rate struct {
	Version  string   `json:"version"`
	Requests float64  `json:"requests"`      // a second
	Errors   float64  `json:"errors"`        // a second
	P50      *float64 `json:"p50,omitempty"` // in milliseconds; nil: nothing was measured
	P99      *float64 `json:"p99,omitempty"`
}

// process is one that ran at that moment.
type process struct {
	PID        int    `json:"pid"`
	Generation int    `json:"generation"`
	Version    string `json:"version,omitempty"`
	State      string `json:"state"`
	Probation  bool   `json:"probation,omitempty"`
	Requests   uint64 `json:"requests"` // that it has answered since its start
	Moved      uint64 `json:"moved"`    // connections that it has passed on
}

// reading is what the next point is compared with.
type reading struct {
	at        time.Time
	total     uint64 // requests of the whole service
	processes []control.Account
}

func read(s sample) reading {
	return reading{s.at, s.totals.Total.Requests(), s.totals.Processes}
}

// to returns the point between two readings, and the second one.
func (before reading) to(now sample) (point, reading) {
	next := read(now)
	seconds := now.at.Sub(before.at).Seconds()
	p := point{
		Time: now.at.UnixMilli(), Requests: float64(next.total-before.total) / seconds,
		Versions: []rate{}, Processes: []process{}, // no list is null in JSON
	}
	left := next.total - before.total // that no process has been found for
	durations := make(map[string]control.Histogram)
	add := func(version string, requests uint64, errors uint64, h control.Histogram) {
		i := slices.IndexFunc(p.Versions, func(r rate) bool { return r.Version == version })
		if i < 0 {
			i = len(p.Versions)
			p.Versions = append(p.Versions, rate{Version: version})
		}
		p.Versions[i].Requests += float64(requests) / seconds
		p.Versions[i].Errors += float64(errors) / seconds
		durations[version] = durations[version].Plus(h)
		left -= min(left, requests)
	}
	probation := make(map[int]bool)
	for _, g := range now.status.Generations {
		probation[g.PID] = g.Probation
	}
	for _, a := range next.processes {
		old := before.of(a)
		add(a.Version, less(a.Counts.Requests(), old.Requests()), less(a.Counts.RequestErrors, old.RequestErrors),
			a.Counts.RequestSeconds.Since(old.RequestSeconds))
		p.Processes = append(p.Processes, process{
			PID: a.PID, Generation: a.Generation, Version: a.Version, State: a.State, Probation: probation[a.PID],
			Requests: a.Counts.Requests(), Moved: a.Counts.MovedConnections(),
		})
	}
	// What is left was answered by processes that have ended since. If their version is not known, it is in the total alone.
	if gone := before.gone(next.processes); len(gone) == 1 && left > 0 {
		add(gone[0], left, 0, control.Histogram{})
	}
	for i := range p.Versions {
		if h := durations[p.Versions[i].Version]; !h.IsZero() {
			p.Versions[i].P50, p.Versions[i].P99 = millis(h.Quantile(0.5)), millis(h.Quantile(0.99))
		}
	}
	slices.SortFunc(p.Versions, func(a, b rate) int { return cmp.Compare(a.Version, b.Version) })
	return p, next
}

// of is what the process had counted before; nothing if it is a new one.
func (before reading) of(a control.Account) control.Counts {
	for _, b := range before.processes {
		if b.PID == a.PID && b.Generation == a.Generation {
			return b.Counts
		}
	}
	return control.Counts{}
}

// gone are the versions of the processes that do not run any more, each once.
func (before reading) gone(now []control.Account) (versions []string) {
	for _, b := range before.processes {
		runs := slices.ContainsFunc(now, func(a control.Account) bool { return a.PID == b.PID && a.Generation == b.Generation })
		if !runs && !slices.Contains(versions, b.Version) {
			versions = append(versions, b.Version)
		}
	}
	return versions
}

// less is the difference of two counts that only grow. A process number that is used again counts from zero.
func less(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

func millis(seconds float64) *float64 {
	ms := seconds * 1000
	return &ms
}

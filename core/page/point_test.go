package page

import (
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// account is a process that has answered requests in so many milliseconds each.
func account(pid, generation int, version string, requests uint64, took ...int) control.Account {
	a := control.Account{PID: pid, Generation: generation, Version: version, State: "current"}
	a.Counts.Servers = []control.ServerCounts{{Server: "public", Requests: requests}}
	for _, ms := range took {
		a.Counts.RequestSeconds.Observe(time.Duration(ms)*time.Millisecond-10*time.Microsecond, []float64{0.001, 0.002, 0.004, 0.008})
	}
	return a
}

func answer(at time.Time, ended uint64, processes ...control.Account) (s sample) {
	s.at = at
	s.totals.Ended.Servers = []control.ServerCounts{{Server: "public", Requests: ended}}
	s.totals.Total = s.totals.Ended
	for _, a := range processes {
		s.totals.Total = s.totals.Total.Plus(a.Counts)
	}
	s.totals.Processes = processes
	return s
}

// rates are the requests of a point by version.
func rates(p point) map[string]float64 {
	all := make(map[string]float64)
	for _, v := range p.Versions {
		all[v.Version] = v.Requests
	}
	return all
}

func same(a, b map[string]float64) bool {
	for k := range b {
		if a[k] != b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestPoint(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		before, now sample
		want        map[string]float64
		total       float64
	}{
		"one process": {
			answer(t0, 0, account(1, 0, "v1", 100)), answer(t0.Add(2*time.Second), 0, account(1, 0, "v1", 300)),
			map[string]float64{"v1": 100}, 100,
		},
		"a new one": {
			answer(t0, 0, account(1, 0, "v1", 100)), answer(t0.Add(time.Second), 0, account(2, 1, "v2", 40), account(1, 0, "v1", 110)),
			map[string]float64{"v1": 10, "v2": 40}, 50,
		},
		"two of one version": {
			answer(t0, 0, account(1, 0, "v1", 100)), answer(t0.Add(time.Second), 0, account(2, 1, "v1", 40), account(1, 0, "v1", 110)),
			map[string]float64{"v1": 50}, 50,
		},
		"one that has ended since": {
			answer(t0, 0, account(2, 1, "v2", 5), account(1, 0, "v1", 100)), answer(t0.Add(time.Second), 130, account(2, 1, "v2", 25)),
			map[string]float64{"v1": 30, "v2": 20}, 50,
		},
		"two that have ended since, of different versions": {
			answer(t0, 0, account(3, 2, "v3", 0), account(2, 1, "v2", 5), account(1, 0, "v1", 100)),
			answer(t0.Add(time.Second), 165, account(3, 2, "v3", 10)),
			map[string]float64{"v3": 10}, 70,
		},
		"one that was killed, and whose last counts nobody knows": {
			answer(t0, 0, account(2, 1, "v2", 5), account(1, 0, "v1", 100)), answer(t0.Add(time.Second), 100, account(2, 1, "v2", 25)),
			map[string]float64{"v2": 20}, 20,
		},
		"a process number that is used again": {
			answer(t0, 0, account(7, 0, "v1", 100)), answer(t0.Add(time.Second), 110, account(7, 1, "v2", 130)),
			map[string]float64{"v1": 10, "v2": 130}, 140,
		},
	} {
		p, next := read(c.before).to(c.now)
		if !same(rates(p), c.want) || p.Requests != c.total {
			t.Errorf("%s: %v of %v, not %v of %v", name, rates(p), p.Requests, c.want, c.total)
		}
		if next.total != c.now.totals.Total.Requests() || p.Time != c.now.at.UnixMilli() || len(p.Processes) != len(c.now.totals.Processes) {
			t.Errorf("%s: next %+v, point %+v", name, next, p)
		}
	}
}

func TestPoint_Durations(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(1000, 0)
	before := answer(t0, 0, account(1, 0, "v1", 4, 8, 8, 8, 8))
	now := answer(t0.Add(time.Second), 0, account(2, 1, "v2", 0), account(1, 0, "v1", 8, 8, 8, 8, 8, 1, 1, 1, 4))
	p, _ := read(before).to(now)
	if v := p.Versions[0]; *v.P50 != 1 || *v.P99 != 4 {
		t.Errorf("what was measured since is 1, 1, 1 and 4 ms: p50 %v, p99 %v", *v.P50, *v.P99)
	}
	if v := p.Versions[1]; v.P50 != nil || v.P99 != nil {
		t.Errorf("nothing was measured of v2: %+v", v)
	}
}

// A service that was started anew counts from zero: what it has counted before is not subtracted from that.
func TestSampler_StartedAnew(t *testing.T) {
	t.Parallel()
	var s sampler
	t0 := time.Unix(1000, 0)
	s.plotLocked(answer(t0, 0, account(1, 0, "v1", 100)))
	s.plotLocked(answer(t0.Add(time.Second), 0, account(2, 0, "v1", 10)))
	s.plotLocked(answer(t0.Add(2*time.Second), 0, account(2, 0, "v1", 30)))
	if len(s.points) != 1 || s.points[0].Requests != 20 {
		t.Errorf("%+v", s.points)
	}
}

package handover

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// The model has both machines decide in every order of words, deaths, stops and timers.
//
// Modelled: two or three processes, each with the goroutines that matter (lifecycle, attempt, seeing out,
// Ready, reading, the old one's end); the socket between them, where what was written before a death can be
// read, then the end; the pid file; kill -9, SIGSTOP and SIGCONT, SIGTERM, upgrade signals, the end of
// Upgrade's context, Reject, a broken listener, a failed start, words that can't be heard any more; time in
// ticks of 5 s. Each effect of a decision is a step of its own, and anything can happen before it.
//
// Not modelled: connections and their handover, datagram and unix sockets, the supervisor and
// masters, a pre-stop delay, programs between the two processes, disks that fail, Upgrade calls
// beside signals, a single goroutine that starves while others run for seconds.
//
// docs/model.md says how to run the long form and what is taken as right.

// model has GRACEX_MODEL=long run the long form.
const model = "GRACEX_MODEL"

// run is one search: what the environment may do, and in how many processes.
type run struct {
	procs int
	left  budget
	only  []string
}

// short takes seconds.
var short = []run{
	{procs: 2, left: budget{kills: 2, freezes: 1, terms: 1}},
	{procs: 2, left: budget{kills: 2, freezes: 2}},
	{procs: 2, left: budget{kills: 2, terms: 1, cancels: 1, rejects: 1}},
	{procs: 2, left: budget{kills: 2, freezes: 1, cancels: 1}},
	{procs: 2, left: budget{kills: 2, freezes: 1, rejects: 1}},
	{procs: 2, left: budget{kills: 2, freezes: 1, breaks: 1}},
	{procs: 2, left: budget{kills: 2, terms: 1, upgrades: 1, fails: 1}},
	{procs: 2, left: budget{terms: 2}},
	{procs: 2, left: budget{terms: 1, breaks: 1}},
	{procs: 2, left: budget{cancels: 1, rejects: 1, deafs: 1}},
	{procs: 3, left: budget{kills: 2, upgrades: 1}},
	{procs: 3, left: budget{kills: 1, upgrades: 1, fails: 1}},
	{procs: 3, left: budget{freezes: 1, upgrades: 1}},
	{procs: 3, left: budget{upgrades: 1, deafs: 1}},
}

// long takes minutes, and some gigabytes.
var long = []run{
	{procs: 2, left: budget{freezes: 2, terms: 1}},
	{procs: 2, left: budget{freezes: 1, terms: 2}},
	{procs: 2, left: budget{kills: 1, freezes: 2, terms: 1}},
	{procs: 2, left: budget{freezes: 1, terms: 1, cancels: 1, rejects: 1, fails: 1}},
	{procs: 2, left: budget{kills: 1, freezes: 1, terms: 1, breaks: 1}},
	{procs: 2, left: budget{kills: 1, freezes: 1, terms: 1, cancels: 1, rejects: 1}},
	{procs: 3, left: budget{kills: 1, upgrades: 1, cancels: 1, rejects: 1}},
	{procs: 3, left: budget{upgrades: 1, breaks: 1}},
	{procs: 3, left: budget{kills: 1, terms: 1, upgrades: 1}},
	{procs: 3, left: budget{kills: 1, freezes: 1, upgrades: 1}},
	{procs: 3, left: budget{freezes: 1, upgrades: 1, cancels: 1}},
	{procs: 3, left: budget{terms: 1, upgrades: 1, cancels: 1}},
	{procs: 3, left: budget{freezes: 1, terms: 1, upgrades: 1}},
}

// TestModel searches each budget to the end, and fails with the shortest way to a state in which a property
// does not hold. It fails, too, if an event or an effect of the machines is never reached.
func TestModel(t *testing.T) {
	runs := short
	if raced {
		runs = []run{{procs: 2, left: budget{kills: 1}}}
	}
	var mu sync.Mutex
	var seen coverage
	t.Run("search", func(t *testing.T) {
		for _, r := range runs {
			r.bothWays(t, func(w *world) {
				mu.Lock()
				defer mu.Unlock()
				seen.merge(&w.seen)
			})
		}
	})
	if !raced {
		seen.check(t)
	}
}

// TestModelLong is the long form.
func TestModelLong(t *testing.T) {
	if os.Getenv(model) != "long" {
		t.Skip("it takes minutes: " + model + "=long")
	}
	for _, r := range long {
		r.bothWays(t, func(*world) {})
	}
}

// bothWays searches with a probation, and without. The short form has these in parallel; the long
// one has not the memory for it.
func (r run) bothWays(t *testing.T, done func(w *world)) {
	for _, probation := range []bool{true, false} {
		t.Run(r.name(probation), func(t *testing.T) {
			if r.procs == 2 || os.Getenv(model) != "long" {
				t.Parallel()
			}
			w := r.world(probation)
			g := explore(w)
			for _, v := range g.violations() {
				g.trace(t, v)
				t.Errorf("violated: %s", v.property)
			}
			t.Logf("%d states, %d steps", len(g.keys), len(g.edges))
			done(w)
		})
	}
}

func (r run) world(probation bool) *world {
	return &world{procs: r.procs, probation: probation, left: r.left, only: r.only}
}

func (r run) name(probation bool) string {
	with := "with probation"
	if !probation {
		with = "without probation"
	}
	return fmt.Sprintf("%d processes, %s, %s", r.procs, with, r.left)
}

// String names what the environment may do, and how often.
func (b budget) String() string {
	var out []string
	for v, i := reflect.ValueOf(b), 0; i < v.NumField(); i++ {
		if n := v.Field(i).Uint(); n > 0 {
			out = append(out, fmt.Sprintf("%s %d", v.Type().Field(i).Name, n))
		}
	}
	return strings.Join(out, ", ")
}

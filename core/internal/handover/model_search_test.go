package handover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// graph is what a search has found. State 0 is the start.
type graph struct {
	store
	world *world
	from  []int32 // the state before, on a shortest way
	edges []int32 // the steps that are not the environment's, state after state
	first []int64 // where those of a state begin, and one more
}

// explore finds every state that can be reached, nearest first.
func explore(w *world) *graph {
	g := &graph{world: w}
	start := w.start()
	g.add(g.pack(&start, nil, packed{}))
	g.from = append(g.from, -1)
	var s state
	for at := int32(0); int(at) < len(g.states.values); at++ {
		g.get(at, &s)
		g.first = append(g.first, int64(len(g.edges)))
		w.emit = func(k kind, _ int, _, _ string, n *state) {
			id, fresh := g.add(g.pack(n, &s, g.states.values[at]))
			if fresh {
				g.from = append(g.from, at)
			}
			if k != environment {
				g.edges = append(g.edges, id)
			}
		}
		w.steps(&s)
	}
	g.first = append(g.first, int64(len(g.edges)))
	return g
}

// tarjan finds the strongly connected components.
type tarjan struct {
	g     *graph
	low   []int32 // 0 is not seen; done is in a component
	stack []int32
	calls []call
	next  int32
}

type call struct {
	v, number int32
	edge      int64
	leaves    bool // a step leads to another component
}

const done = -1

// bottoms calls f for each component that no step leaves, but for the environment's: where every
// fair way ends up.
func (g *graph) bottoms(f func(component []int32)) {
	t := &tarjan{g: g, low: make([]int32, len(g.states.values))}
	for root := range int32(len(g.states.values)) {
		if t.low[root] == 0 {
			t.visit(root, f)
		}
	}
}

func (t *tarjan) enter(v int32) {
	t.next++
	t.low[v] = t.next
	t.stack = append(t.stack, v)
	t.calls = append(t.calls, call{v: v, number: t.next, edge: t.g.first[v]})
}

func (t *tarjan) visit(root int32, f func([]int32)) {
	t.enter(root)
	for len(t.calls) > 0 {
		c := &t.calls[len(t.calls)-1]
		if c.edge < t.g.first[c.v+1] {
			to := t.g.edges[c.edge]
			c.edge++
			switch {
			case t.low[to] == 0:
				t.enter(to)
			case t.low[to] == done:
				c.leaves = true
			default:
				t.low[c.v] = min(t.low[c.v], t.low[to])
			}
			continue
		}
		t.leave(*c, f)
	}
}

func (t *tarjan) leave(c call, f func([]int32)) {
	t.calls = t.calls[:len(t.calls)-1]
	closes := t.low[c.v] == c.number
	if len(t.calls) > 0 {
		up := &t.calls[len(t.calls)-1]
		up.leaves = up.leaves || c.leaves || closes
		t.low[up.v] = min(t.low[up.v], t.low[c.v])
	}
	if !closes {
		return
	}
	at := len(t.stack) - 1
	for t.stack[at] != c.v {
		at--
	}
	for _, v := range t.stack[at:] {
		t.low[v] = done
	}
	if !c.leaves {
		f(t.stack[at:])
	}
	t.stack = t.stack[:at]
}

// violation is a property that does not hold, at the nearest state that shows it.
type violation struct {
	property string
	at       int32
}

// violations returns each property that is violated, once.
func (g *graph) violations() []violation {
	found := map[string]int32{}
	note := func(property string, at int32) {
		if old, ok := found[property]; !ok || at < old {
			found[property] = at
		}
	}
	var s state
	for at := range int32(len(g.states.values)) {
		g.get(at, &s)
		if two := s.two(); two != "" {
			note(two, at)
		}
	}
	g.bottoms(func(component []int32) {
		for _, property := range g.judge(component) {
			note(property, slices.Min(component))
		}
	})
	var out []violation
	for property, at := range found {
		out = append(out, violation{property, at})
	}
	return out
}

// trace prints the shortest way to a state, a step a line.
func (g *graph) trace(tb testing.TB, v violation) {
	var path []int32
	for at := v.at; at >= 0; at = g.from[at] {
		path = append(path, at)
	}
	var b strings.Builder
	var s, n state
	for i := len(path) - 1; i > 0; i-- {
		g.get(path[i], &s)
		g.get(path[i-1], &n)
		fmt.Fprintf(&b, "\n%4d %-64s %s", len(path)-i, g.describe(&s, &n), n.summary())
	}
	tb.Logf("%s, after %d steps:%s", v.property, len(path)-1, b.String())
}

// describe returns the step that leads from s to n.
func (g *graph) describe(s, n *state) (step string) {
	g.world.emit = func(k kind, i int, what, arg string, x *state) {
		if *x == *n {
			step = k.mark() + " "
			if i >= 0 {
				step += names[i : i+1]
			}
			step = strings.TrimSpace(step + " " + what + " " + arg)
		}
	}
	g.world.steps(s)
	return step
}

//go:build unix

package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// upgrades are one of each kind, with what becomes of it and its spans.
var upgrades = []struct {
	kind   string
	change func(*settings)
	want   string
}{
	{control.KindRefused, func(s *settings) { s.Vetoes = true }, `
		upgrade old refused: upgrade vetoed: it is Friday
		  hooks old refused: upgrade vetoed: it is Friday
		`},
	{control.KindFailed, func(s *settings) { s.NotReady = true }, `
		upgrade old failed: it failed to start: ready check: the database is gone
		  drain new
		  hooks old
		  start new failed: ready check: the database is gone
		    ready_checks new failed: ready check: the database is gone
		  start old failed: it failed to start: ready check: the database is gone
		`},
	{control.KindRolledBack, func(s *settings) { s.Rejects = true }, `
		upgrade old rolled_back: it rejected itself: it finds itself bad
		  drain new
		  handover new
		  handover old
		  hooks old
		  probation new rolled_back: it rejected itself: it finds itself bad
		  probation old rolled_back: it rejected itself: it finds itself bad
		  start new
		    ready_checks new
		  start old
		`},
	{control.KindUpgraded, func(*settings) {}, `
		upgrade old
		  drain old
		  handoff old
		  handover new
		  handover old
		  hooks old
		  probation new
		  probation old
		  start new
		    ready_checks new
		  start old
		`},
}

// TestTraces: each upgrade is one trace of both processes, whatever becomes of it. Nothing is missing when a process has ended.
func TestTraces(t *testing.T) {
	t.Parallel()
	p := start(t)
	traces := map[string]string{}
	for _, tt := range upgrades {
		o, id := p.upgrade(tt.change)
		if o.Kind != tt.kind {
			t.Fatalf("the outcome is %+v, want %s", o, tt.kind)
		}
		p.receives(id, o, tt.want)
		for _, s := range p.of(id, o) {
			traces[s.trace] = tt.kind
		}
	}
	p.stop()
	if len(traces) != len(upgrades) {
		t.Errorf("%d upgrades have %d traces", len(upgrades), len(traces))
	}
	// The first process's start, and the stop of the last one, are traces of their own.
	rest := p.where(func(s span) bool { return traces[s.trace] == "" })
	var names []string
	for _, s := range rest {
		names = append(names, s.name)
	}
	slices.Sort(names)
	if want := []string{"gracex.drain", "gracex.ready_checks", "gracex.start"}; !slices.Equal(names, want) {
		t.Errorf("the other spans are %q, want %q", names, want)
	}
}

// TestTraces_TakenBack: a new process that ends during the drain of the old one, after the upgrade was good, is an error of that
// drain.
func TestTraces_TakenBack(t *testing.T) {
	t.Parallel()
	p := start(t)
	client := must.Get(net.Dial("tcp", p.Addr))(t)
	defer client.Close()
	must.Get(io.WriteString(client, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"))(t)
	must.Get(io.ReadFull(client, make([]byte, len("HTTP/1.1 100"))))(t) // the handler runs
	must.Get(io.WriteString(client, "x"))(t)
	o, id := p.upgrade(func(*settings) {})
	p.Await("the new process has sent its spans", func() bool {
		return slices.ContainsFunc(p.of(id, o), func(s span) bool { return s.name == "gracex.probation" && role(s, o) == "new" })
	})
	p.Signal(o.NewPID, syscall.SIGKILL)
	p.receives(id, o, `
		upgrade old
		  drain old taken_back: it ended while this process drained
		  handoff old taken_back: it ended while this process drained
		  handover new
		  handover old
		  hooks old
		  probation new
		  probation old
		  start new
		    ready_checks new
		  start old
		`)
	client.Close()
	p.stop()
}

// receives waits until all spans of an upgrade are there, and are the wanted ones: each with its process, old or new, and its
// status if that is an error.
func (p *running) receives(id string, o control.Outcome, want string) {
	p.t.Helper()
	want = strings.ReplaceAll(strings.TrimPrefix(want, "\n"), "\t", "")
	if !p.Until(func() bool { return p.draw(id, o) == want }) {
		p.t.Errorf("the upgrade that was %s has the spans\n%s\nwant\n%s", o.Kind, p.draw(id, o), want)
	}
	for _, s := range p.of(id, o) {
		if s.process != s.of || s.service != "shop" || s.ended.Before(s.began) {
			p.t.Errorf("a span of the upgrade that was %s: %+v", o.Kind, s)
		}
	}
}

// of returns the spans of an upgrade, by their names, and those of the new process first.
func (p *running) of(id string, o control.Outcome) []span {
	all := p.where(func(s span) bool { return s.attrs["gracex.upgrade.id"] == id })
	slices.SortStableFunc(all, func(a, b span) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(role(a, o), role(b, o)))
	})
	return all
}

// role says of which process a span is.
func role(s span, o control.Outcome) string {
	return map[int64]string{int64(o.OldPID): "old", int64(o.NewPID): "new"}[s.process]
}

// draw draws the spans of an upgrade as trees. There is one if they are one trace.
func (p *running) draw(id string, o control.Outcome) string {
	all := p.of(id, o)
	var out strings.Builder
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		for _, s := range all {
			top := !slices.ContainsFunc(all, func(other span) bool { return other.id == s.parent && other.trace == s.trace })
			if parent == "" && !top || parent != "" && s.parent != parent {
				continue
			}
			fmt.Fprintf(&out, "%s%s %s", indent, strings.TrimPrefix(s.name, "gracex."), role(s, o))
			if s.failed {
				fmt.Fprintf(&out, " %v: %s", s.attrs["error.type"], s.reason)
			}
			out.WriteByte('\n')
			draw(s.id, indent+"  ")
		}
	}
	draw("", "")
	return out.String()
}

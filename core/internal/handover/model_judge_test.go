package handover

import (
	"fmt"
	"strings"
)

// two says which two processes accept at once, unless that passes: either is there
//   - after the old process has given a new one up and accepts again, until that one decides on
//     abort, or is killed;
//   - while the old process, which stood still, has not decided on ready yet, or not paused its
//     listeners after that, and the new one has gone on alone;
//
// and where the old process has started a second one meanwhile, while the first of these has
// not gone. No process accepts that stands still.
func (s *state) two() string {
	for i := range s.p {
		for j := i + 1; j < len(s.p); j++ {
			a, b := &s.p[i], &s.p[j]
			if a.accepts() && b.accepts() && a.runs() && b.runs() && !s.passes(i, j) {
				return fmt.Sprintf("two accept at once: %s (%s) and %s (%s)", names[i:i+1], s.stands(i), names[j:j+1], s.stands(j))
			}
		}
	}
	return ""
}

func (s *state) passes(i, j int) bool {
	if int(s.l[j-1].parent) == i {
		at := s.p[j].new.Phase
		alone := at == NewAlone || at == NewSettled
		switch s.l[j-1].old.Phase {
		case OldGivenUp:
			return true
		case OldStarting:
			return alone
		case OldProbation, OldAsked:
			return alone && s.p[i].effects[0] == oldEffect(j, Pause)
		}
		return false
	}
	return s.toGo(i) || s.toGo(j)
}

// toGo reports whether process i has been given up and has not acted on that.
func (s *state) toGo(i int) bool {
	return i > 0 && (s.l[i-1].old.Phase == OldGivenUp || s.p[i].new.Phase == NewRolledBack ||
		s.l[i-1].down.has(wordAbortStop) || s.p[i].inbox.has(wordAbortStop))
}

// stands names where a process stands.
func (s *state) stands(i int) string {
	p := &s.p[i]
	at := p.new.Phase.String()
	if i == 0 {
		at = "old"
	}
	s.children(i, func(_ int, l *link) {
		if l.old.Phase != OldIdle {
			at += ", " + l.old.Phase.String()
		}
	})
	return at
}

// judge says which properties do not hold where a fair way ends up.
func (g *graph) judge(component []int32) (bad []string) {
	var s state
	var ever [maxProcs]bool
	for _, v := range component {
		g.get(v, &s)
		for i := range s.p {
			ever[i] = ever[i] || s.p[i].accepts()
		}
	}
	serve, last := 0, -1
	for i := range ever {
		if ever[i] {
			serve, last = serve+1, i
		}
	}
	switch {
	case serve > 1:
		bad = append(bad, "S1: two serve for ever")
	case serve == 0 && s.nobody():
		bad = append(bad, "S2: nobody serves")
	case s.l[0].another: // see docs/model.md
	case serve == 1 && s.g.pid != uint8(last+1):
		bad = append(bad, "S5: the pid file does not name the process that serves")
	case serve == 0 && g.world.left.kills == s.g.left.kills && s.g.pid > 0 && s.p[s.g.pid-1].life == exited:
		bad = append(bad, "S5b: a pid file is left of a process that has ended by itself")
	}
	for i := range ever {
		if ever[i] && s.p[i].told {
			bad = append(bad, "S3: a process that was told to stop serves for ever")
		}
	}
	if serve > 0 && s.g.service > 0 && s.g.service != elsewhere {
		bad = append(bad, "S3b: the service was told to stop, and serves for ever")
	}
	return append(bad, s.lies(ever)...)
}

// nobody: it is as it should be that nobody serves if the service was told to stop, or if
// all that could were ended by the environment.
func (s *state) nobody() bool {
	if s.g.service != 0 || s.g.lone {
		return false
	}
	left := false
	for i := range s.p {
		p := &s.p[i]
		if i > 0 && p.told && s.l[i-1].report == reportUpgraded {
			return false // the service was its, and it was asked to stop
		}
		left = left || p.life != unborn && !p.byEnv && !p.told && !p.given
	}
	return left
}

// lies says which reported outcomes are wrong. ever has the processes that serve in the end.
func (s *state) lies(ever [maxProcs]bool) (bad []string) {
	for c := 1; c < maxProcs; c++ {
		l := &s.l[c-1]
		if l.lie {
			bad = append(bad, "S4: upgraded was reported of a process that was known to be dead")
		}
		if (l.report == reportBack || l.report == reportFailed || l.report == reportLate) && ever[c] && !s.parent(c).byEnv && !s.parent(c).told && !s.parent(c).shot {
			bad = append(bad, "S4: a rollback was reported, and the new process serves")
		}
		if l.report == reportUpgraded && ever[l.parent] {
			bad = append(bad, "S4: upgraded was reported, and the old process serves")
		}
	}
	return bad
}

// summary says what matters of a state.
func (s *state) summary() string {
	var b strings.Builder
	for i := range s.p {
		p := &s.p[i]
		switch p.life {
		case unborn:
			continue
		case killed:
			fmt.Fprintf(&b, "%s: killed; ", names[i:i+1])
		case exited:
			fmt.Fprintf(&b, "%s: exited; ", names[i:i+1])
		case alive:
			fmt.Fprintf(&b, "%s: %s, %s", names[i:i+1], s.stands(i), [...]string{"held", "accepts", "paused", "closed"}[p.lis])
			if p.frozen {
				b.WriteString(", stands still")
			}
			b.WriteString("; ")
		}
	}
	if s.g.pid == 0 {
		return b.String() + "no pid file"
	}
	return b.String() + "pid file " + names[s.g.pid-1:s.g.pid]
}

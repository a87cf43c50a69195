package handover

import "strings"

// kind says how a step is scheduled.
type kind uint8

const (
	urgent      kind = iota // a process that runs does it before time passes
	lazy                    // happens at some time
	passes                  // 5 s pass, once nothing urgent is left
	goesOn                  // SIGCONT: happens at some time
	environment             // may never happen
)

// mark tells the environment's steps from the others in a trace.
func (k kind) mark() string {
	switch k {
	case environment:
		return "!"
	case passes:
		return "~"
	}
	return " "
}

const names = "ONM"

// world is what the machines run in.
type world struct {
	procs     int
	probation bool
	left      budget
	only      []string // the environment's steps, by process and what it does; nil is all

	// The decisions, for the tests that change them.
	oldStep  func(Old, OldEvent) (Old, []OldEffect)
	newStep  func(New, NewEvent) (New, []NewEffect)
	neglects duty

	seen coverage
	emit func(k kind, i int, what, arg string, n *state)
	from *state
	n    state // the state that is being made
	hot  bool
}

// duty is one of package core's, as docs/model.md lists them; the tests neglect one at a time.
type duty uint8

const (
	noDuty          duty = iota
	endsByKill           // no SIGTERM to the old process (R8)
	readsFirst           // all that was said, before the old process is killed
	sparesIfBroken       // ... and not by one that asks it to serve
	endLast              // after all words
	deafFirst            // before the end
	stopsAll             // that were started and are not gone
	lastLook             // before a process that drains ends
	ownSIGTERM           // is what a starting process obeys: its settled is none
	restoresPIDFile      // when a process that was given up is gone
	confirmedDead        // a confirmed of a dead process is told apart
)

// start is a process that serves, and is asked to upgrade.
func (w *world) start() state {
	if w.oldStep == nil {
		w.oldStep = Old.Step
	}
	if w.newStep == nil {
		w.newStep = New.Step
	}
	var s state
	s.p[0] = proc{life: alive, lis: open, does: serving, served: true, upgrade: true, ready: readyDone, new: New{Phase: NewFree, Gone: true}}
	s.g = globals{pid: 1, left: w.left}
	return s
}

// fork begins a step from s.
func (w *world) fork(s *state) *state {
	w.n = *s
	w.from = s
	return &w.n
}

// step ends it.
func (w *world) step(k kind, i int, what, arg string) {
	if k == urgent {
		w.hot = true
		if w.n == *w.from {
			panic("the model does not get on: " + names[i:i+1] + " " + what + " " + arg)
		}
	}
	w.emit(k, i, what, arg, &w.n)
}

// steps emits every state that can follow s.
func (w *world) steps(s *state) {
	w.hot = false
	for i := range w.procs {
		switch p := &s.p[i]; {
		case p.runs():
			w.process(s, i)
		case p.life == alive:
			w.fork(s).p[i].frozen = false
			w.step(goesOn, i, "SIGCONT", "")
		}
	}
	if !w.hot {
		w.tick(s)
	}
	w.environment(s)
}

// process emits what process i can do.
func (w *world) process(s *state, i int) {
	p := &s.p[i]
	if i > 0 {
		w.follow(s, i)
		w.says(s, i)
		w.seesOff(s, i)
	}
	s.children(i, func(c int, l *link) {
		w.attempt(s, i, c, l)
		w.leaving(s, i, c, l)
	})
	if p.effects[0] != 0 {
		w.carryOut(s, i)
		return
	}
	w.signalled(s, i)
	w.ends(s, i)
	if i > 0 {
		w.asNew(s, i)
	}
	s.children(i, func(c int, l *link) { w.asOld(s, i, c, l) })
}

func count(t *uint8) {
	if *t > 0 {
		*t--
	}
}

// tick lets 5 s pass.
func (w *world) tick(s *state) {
	n := w.fork(s)
	for i := range w.procs {
		p := &n.p[i]
		if !p.lives() {
			continue
		}
		count(&p.tWait)
		count(&p.tOwn)
		count(&p.tSee)
		count(&p.tBroken)
		n.children(i, func(c int, l *link) { l.tick(p, &n.p[c]) })
	}
	if *n != *s {
		w.step(passes, -1, "5 s pass", "")
	}
}

func (l *link) tick(parent, child *proc) {
	count(&l.tDue)
	if l.old.Phase == OldProbation || l.old.Phase == OldAsked {
		l.age = min(l.age+1, ticksTooLate+1)
		l.beat = l.beat || !parent.frozen
	}
	if l.leaving == leavingWaits && !parent.frozen {
		if child.frozen {
			l.tOut = min(l.tOut, ticksSilent)
		}
		count(&l.tOut)
	}
}

// allowed reports whether the environment is to do this.
func (w *world) allowed(i int, what string) bool {
	if w.only == nil {
		return true
	}
	for _, x := range w.only {
		if strings.HasPrefix(x, names[i:i+1]) && strings.HasSuffix(x, what) {
			return true
		}
	}
	return false
}

// act is a step of the environment, if it has any of these left.
func (w *world) act(s *state, i int, what string, left uint8, f func(n *state, p *proc)) {
	if left == 0 || !w.allowed(i, what) {
		return
	}
	n := w.fork(s)
	f(n, &n.p[i])
	w.step(environment, i, what, "")
}

// environment emits what may happen to the processes from outside.
func (w *world) environment(s *state) {
	left := s.g.left
	for i := range w.procs {
		p := &s.p[i]
		if !p.lives() {
			continue
		}
		w.act(s, i, "kill -9", left.kills, func(n *state, p *proc) {
			n.g.left.kills--
			p.byEnv = true
			n.die(i, killed)
			n.g.lone = n.g.lone || !n.survivor()
		})
		if !p.frozen {
			w.act(s, i, "SIGSTOP", left.freezes, func(n *state, p *proc) { n.g.left.freezes--; p.frozen = true })
		}
		if p.does == ended {
			continue
		}
		if !p.term {
			w.act(s, i, "SIGTERM", left.terms, func(n *state, p *proc) {
				n.g.left.terms--
				p.term, p.told = true, true
				p.toldCurr = p.does != starting
				n.g.lone = n.g.lone || !n.survivor()
			})
		}
		if p.does == serving && !p.upgrade {
			w.act(s, i, "upgrade signal", left.upgrades, func(n *state, p *proc) { n.g.left.upgrades--; p.upgrade = true })
		}
		if i > 0 {
			w.mishaps(s, i)
		}
	}
}

// mishaps are those of a new process.
func (w *world) mishaps(s *state, i int) {
	p, l, left := &s.p[i], &s.l[i-1], s.g.left
	if s.parent(i).lives() {
		if (l.attempt == attemptRuns || l.old.Phase == OldProbation || l.old.Phase == OldAsked) && !l.cancel {
			w.act(s, i, "the context of its Upgrade ends", left.cancels, func(n *state, _ *proc) { n.g.left.cancels--; n.l[i-1].cancel = true })
		}
		if !l.deaf && p.ready != readyNot {
			w.act(s, i, "can't be heard any more", left.deafs, func(n *state, _ *proc) { n.g.left.deafs--; n.l[i-1].deaf = true })
		}
	}
	if !p.runs() {
		return
	}
	if p.new.Phase == NewProbation && !p.reject {
		w.act(s, i, "rejects itself", left.rejects, func(n *state, p *proc) { n.g.left.rejects--; p.reject = true })
	}
	if !p.hurt {
		w.act(s, i, "its listener breaks", left.breaks, func(n *state, p *proc) {
			n.g.left.breaks--
			p.broken, p.hurt, p.given = true, true, true
			n.children(i, func(c int, l *link) { // those that it gives up, or is about to
				n.p[c].given = n.p[c].given || l.old.Phase == OldGivenUp || l.old.Phase == OldStarting
			})
			n.g.lone = n.g.lone || !n.survivor()
		})
	}
	if p.ready == readyNot {
		w.act(s, i, "fails to start", left.fails, func(n *state, p *proc) {
			n.g.left.fails--
			p.given, p.ready, p.does = true, readyDone, stopping
			n.sayUp(i, wordFailed)
			n.g.lone = n.g.lone || !n.survivor()
		})
	}
}

package handover

// decideOld takes an event of the handover to c to its decision. What is to be done waits.
func (w *world) decideOld(n *state, c int, e OldEvent) {
	l := &n.l[c-1]
	p := &n.p[l.parent]
	next, effects := w.oldStep(l.old, e)
	w.seen.oldEvents |= 1 << e
	l.old = next
	for _, x := range effects {
		p.add(oldEffect(c, x))
		if x == ReportUpgraded && e != Settled && e != Deaf && !n.p[c].lives() {
			l.lie = true
		}
	}
	if e == Settled && (n.p[c].told || !l.sigterm) {
		p.given = true
	}
	switch next.Phase {
	case OldStarting, OldProbation, OldAsked:
	case OldIdle:
		*l = link{parent: l.parent, another: l.another, report: l.report, lie: l.lie}
	case OldReleased:
		l.up = queue{}
		fallthrough
	case OldDraining, OldGivenUp:
		l.beat, l.ponged, l.missed, l.tDue, l.age, l.cancel = false, false, false, 0, 0, false
	}
}

// decideNew takes an event of process i as a new one to its decision.
func (w *world) decideNew(n *state, i int, e NewEvent) {
	p := &n.p[i]
	was := p.new.Phase
	next, effects := w.newStep(p.new, e)
	w.seen.newEvents |= 1 << e
	p.new = next
	for _, x := range effects {
		p.add(newEffect(x))
	}
	switch {
	case next.Phase == was:
	case next.Phase == NewProbation:
		p.own, p.tOwn = ownRuns, ticksOwn
	default:
		p.own, p.tOwn = ownOff, 0
	}
	if next.Phase == NewAlone && was != NewAlone {
		p.seesOff, p.tSee = true, ticksSee
	}
	if e == Abort && next.Phase == NewRolledBack {
		p.given = true // not before: the old process can be killed until then
	}
	if next.Phase == NewRolledBack || next.Gone {
		p.seesOff, p.tSee = false, 0
	}
}

// The probation's own timer.
const (
	ownOff uint8 = iota
	ownRuns
	ownSecond
)

// carryOut does the next thing that was decided on.
func (w *world) carryOut(s *state, i int) {
	n := w.fork(s)
	p := &n.p[i]
	e := p.next()
	if c := e.child(); c > 0 {
		w.seen.oldEffects |= 1 << e.old()
		w.doOld(n, i, c, e.old())
		n.acted(i)
		w.step(urgent, i, oldDoes[e.old()], names[c:c+1])
		return
	}
	w.seen.newEffects |= 1 << e.new()
	w.doNew(n, i, e.new())
	if e.new() != StopNew || p.effects[0] == 0 {
		n.acted(i)
	}
	w.step(urgent, i, newDoes[e.new()], "")
}

// acted notes that process i has acted on SIGTERM, if it was that: until then nobody can tell
// whether it has taken it.
func (s *state) acted(i int) {
	p := &s.p[i]
	if p.asks != 0 && i > 0 && s.l[i-1].another {
		p.asks = elsewhere // another one has been started in its place meanwhile
	}
	if s.g.service == 0 {
		s.g.service = p.asks
	}
	p.asks = 0
}

var oldDoes = [...]string{
	Pause: "pauses its listeners for", SayCommit: "says commit to", SayCommitForGood: "says commit for good to",
	SayPing: "says ping to", SayConfirm: "says confirm to", Drain: "drains, with a way back from", Close: "closes its listeners for",
	Resume: "accepts again, not", NamePID: "has the pid file name it, not", SayAbort: "says abort to", SayAbortStop: "says abort(stop) to",
	Kill: "kills", ReportUpgraded: "reports: upgraded, to", ReportRolledBack: "reports: rolled back, from",
	ReportTakenBack: "reports: taken back late, from", StopService: "stops, as does",
}

var newDoes = [...]string{
	Accept: "accepts", NamePIDNew: "has the pid file name it", SayConfirmed: "says confirmed", SayReject: "says reject",
	SaySettled: "says settled", SayAgain: "says again", Remember: "keeps an upgrade for later", Inspect: "looks after the pid file",
	PassProbation: "has passed", RollBack: "is rolled back, and drains", StopNew: "begins to stop", StartNext: "starts a next process",
}

func (w *world) doOld(n *state, i, c int, e OldEffect) {
	p, l := &n.p[i], &n.l[c-1]
	switch e {
	case Pause:
		p.lis = paused
	case SayCommit:
		l.tDue = ticksProbation
		n.sayDown(c, wordCommit)
	case SayCommitForGood:
		n.sayDown(c, wordCommitForGood)
	case SayPing:
		n.sayDown(c, wordPing)
	case SayConfirm:
		n.sayDown(c, wordConfirm)
	case Drain:
		p.does, p.pending = draining, false
	case Close:
		p.lis, p.pending = closed, false
		p.does = max(p.does, draining)
	case Resume:
		p.does = serving
		p.listen()
	case NamePID:
		n.g.pid = uint8(i + 1)
	case SayAbort:
		w.sayAbort(n, c, wordAbort)
	case SayAbortStop:
		w.sayAbort(n, c, wordAbortStop)
	case Kill:
		n.kill(c)
	case ReportUpgraded:
		l.report = reportUpgraded
	case ReportRolledBack:
		l.report = reportBack
	case ReportTakenBack:
		l.report = reportLate
	case StopService:
		p.lis, p.does = closed, max(p.does, stopping)
	}
}

func (s *state) kill(c int) {
	s.p[c].given = true
	if s.p[c].lives() {
		s.p[c].shot = true
		s.die(c, killed)
	}
}

// sayAbort says it, and has a goroutine see the process out, if it is known.
func (w *world) sayAbort(n *state, c int, abort word) {
	n.sayDown(c, abort)
	n.p[c].given = n.p[c].given || abort == wordAbortStop
	if l := &n.l[c-1]; l.attempt == attemptNone && l.leaving == leavingNot {
		l.leaving = leavingSoon
	}
}

func (w *world) doNew(n *state, i int, e NewEffect) {
	p := &n.p[i]
	switch e {
	case Accept:
		p.does, p.served = serving, true
		p.listen()
	case NamePIDNew:
		n.g.pid = uint8(i + 1)
	case SayConfirmed:
		n.sayUp(i, wordConfirmed)
	case SayReject:
		n.sayUp(i, wordReject)
	case SaySettled:
		n.sayUp(i, wordSettled)
	case SayAgain:
		n.sayUp(i, wordAgain)
	case Remember:
		p.pending = true
	case Inspect:
		if c := int(n.g.pid) - 1; p.lis == open && (c < 1 || int(n.l[c-1].parent) != i) {
			n.g.pid = uint8(i + 1)
		}
	case PassProbation:
		if !p.seesOff && !p.new.Gone {
			p.seesOff, p.tSee = true, ticksSee
		}
	case RollBack:
		p.lis, p.does = closed, max(p.does, draining)
	case StopNew:
		w.stop(n, i)
	case StartNext:
		w.begin(n, i)
	}
}

// stop stops process i. Those that it has started hear of it.
func (w *world) stop(n *state, i int) {
	p := &n.p[i]
	if p.does == starting {
		if p.word == noWord && (p.ready != readyPosted || p.post > CommitForGood) { // else it ends, and says nothing
			n.sayUp(i, wordFailed)
		}
		if p.ready != readyPosted {
			p.ready, p.word = readyDone, noWord
		}
		p.does = stopping
	}
	decides := false
	n.children(i, func(c int, l *link) {
		if l.old.Phase != OldIdle && l.old.Phase != OldReleased {
			decides = true
			w.decideOld(n, c, Stop)
		}
	})
	if !decides {
		p.lis = closed
		if p.does == serving {
			p.does = stopping
		}
	}
}

// busy reports whether an upgrade has to wait for one that is under way.
func (s *state) busy(i int) (busy bool) {
	s.children(i, func(_ int, l *link) {
		switch l.old.Phase {
		case OldIdle:
		case OldGivenUp:
			busy = busy || l.report == reportNone // its failure is not reported before its end
		default:
			busy = true
		}
	})
	return busy
}

// begin starts a next process, while there is a number for it.
func (w *world) begin(n *state, i int) {
	if n.busy(i) || n.p[i].does != serving {
		return
	}
	if w.another(n, i) {
		n.p[i].add(newEffect(StartNext)) // after that
		return
	}
	for c := 1; c < w.procs; c++ {
		if n.p[c].life == unborn {
			n.p[c] = proc{life: alive}
			n.l[c-1] = link{parent: uint8(i), attempt: attemptRuns}
			w.decideOld(n, c, Started)
			return
		}
	}
}

// another tells those that were given up that one more process is about to be started.
func (w *world) another(n *state, i int) (told bool) {
	n.children(i, func(c int, l *link) {
		if l.old.Phase == OldGivenUp && !l.another {
			l.another, told = true, true
			w.decideOld(n, c, Another)
		}
	})
	return told
}

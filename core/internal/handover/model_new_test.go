package handover

// follow emits what the goroutine does that reads what the old process says.
func (w *world) follow(s *state, i int) {
	p, l := &s.p[i], &s.l[i-1]
	if p.gone || p.does == ended {
		return
	}
	if l.down.empty() {
		if !s.parent(i).lives() {
			w.fork(s).p[i].gone = true
			w.step(urgent, i, "reads the end of the old process", "")
		}
		return
	}
	n := w.fork(s)
	said := n.l[i-1].down.pop()
	switch said {
	case wordPing:
		n.sayUp(i, wordPong)
	case wordCommit, wordCommitForGood:
		if p.ready < readyPosted {
			n.p[i].word = said
			break
		}
		fallthrough
	default:
		n.p[i].inbox.push(said)
	}
	w.step(urgent, i, "reads", wordNames[said])
}

// abortRead reports whether an abort was read, and waits for its decision.
func (p *proc) abortRead() bool { return p.inbox.has(wordAbort) || p.inbox.has(wordAbortStop) }

// says emits what the goroutine in Ready does.
func (w *world) says(s *state, i int) {
	p := &s.p[i]
	switch {
	case p.ready == readyNot && p.does == starting:
		n := w.fork(s)
		n.sayUp(i, wordReady)
		n.p[i].ready, n.p[i].tWait = readyWaits, ticksWait
		w.step(lazy, i, "says ready", "")
	case p.ready != readyNot && p.ready != readyWaits:
	case p.does != starting:
		w.fork(s).p[i].ready = readyDone
		w.n.p[i].word, w.n.p[i].tWait = noWord, 0
		w.step(urgent, i, "returns from Ready", "")
	case p.ready != readyWaits:
	case p.word != noWord:
		w.posts(s, i, Commit+NewEvent(p.word-wordCommit), "takes commit")
	default:
		if p.gone && !p.abortRead() {
			w.posts(s, i, OldEnded, "takes the end of the old process")
		}
		if p.tWait == 0 {
			w.posts(s, i, NoCommit, "takes it that no commit will come")
		}
	}
}

func (w *world) posts(s *state, i int, e NewEvent, what string) {
	q := &w.fork(s).p[i]
	q.ready, q.post, q.word, q.tWait = readyPosted, e, noWord, 0
	w.step(urgent, i, what, "in Ready")
}

// seesOff emits the end of an old process that takes too long.
func (w *world) seesOff(s *state, i int) {
	p := &s.p[i]
	switch {
	case !p.seesOff || p.tSee > 0 || !s.parent(i).lives() || p.does == ended:
		return
	case p.hurt && w.neglects != sparesIfBroken:
		return
	case (!s.l[i-1].down.empty() || p.abortRead()) && w.neglects != readsFirst:
		return
	}
	n := w.fork(s)
	old := int(s.l[i-1].parent)
	n.p[i].seesOff = false
	if w.neglects == endsByKill {
		n.p[old].term = true
		n.p[old].told = n.p[old].told || n.p[old].does >= draining
		w.step(urgent, i, "sends SIGTERM to", names[old:old+1])
		return
	}
	n.p[old].shot = true
	n.die(old, killed)
	w.step(urgent, i, "does not wait longer, and kills", names[old:old+1])
}

// asNew emits the decisions of process i about the old one.
func (w *world) asNew(s *state, i int) {
	p := &s.p[i]
	if p.does == ended {
		return
	}
	if p.ready == readyPosted {
		n := w.fork(s)
		q := &n.p[i]
		q.ready, q.post = readyDone, 0
		w.decideNew(n, i, p.post)
		if p.post == OldEnded {
			w.decideNew(n, i, NoCommit)
		}
		w.step(urgent, i, "decides on the end of its wait", "")
	}
	switch {
	case p.word != noWord || p.ready == readyPosted: // a word after it waits
	case !p.inbox.empty() && !(w.neglects == endLast && p.gone && !p.new.Gone):
		w.obeys(s, i)
	case p.gone && !p.new.Gone && p.ready == readyDone:
		w.decideNew(w.fork(s), i, OldEnded)
		w.step(urgent, i, "decides on the end of the old process", "")
	}
	if p.own == ownRuns && p.tOwn == 0 {
		w.fork(s).p[i].own, w.n.p[i].tOwn = ownSecond, 1
		w.step(urgent, i, "waits one second more", "")
	}
	if p.own == ownSecond && p.tOwn == 0 {
		n := w.fork(s)
		n.p[i].own = ownOff
		w.decideNew(n, i, OwnTime)
		w.step(urgent, i, "decides on its own time", "")
	}
	if p.waits && (p.tBroken == 0 || p.new.Phase != NewProbation) {
		q := &w.fork(s).p[i]
		q.waits = false
		if q.does == serving {
			q.does = stopping
		}
		w.step(urgent, i, "stops, as it is broken", "")
	}
}

// obeys emits the decision on the next word.
func (w *world) obeys(s *state, i int) {
	n := w.fork(s)
	said := n.p[i].inbox.pop()
	switch said {
	case wordCommit:
		w.decideNew(n, i, Commit)
	case wordCommitForGood:
		w.decideNew(n, i, CommitForGood)
	case wordConfirm:
		w.decideNew(n, i, Confirm)
	case wordAbort:
		n.p[i].seesOff, n.p[i].tSee = false, 0
		e := Abort
		if !s.parent(i).lives() {
			e = AbortDead
		}
		w.decideNew(n, i, e)
	case wordAbortStop:
		w.decideNew(n, i, AbortStop)
	}
	w.step(urgent, i, "decides on", wordNames[said])
}

// signalled emits the decisions on what comes from outside.
func (w *world) signalled(s *state, i int) {
	p := &s.p[i]
	if p.does == ended {
		return
	}
	if p.term {
		n := w.fork(s)
		n.p[i].term = false
		if p.does < draining {
			n.p[i].asks = n.service(i)
			w.decideNew(n, i, Asked)
		} else {
			w.stopDraining(n, i)
		}
		w.step(urgent, i, "decides on SIGTERM", "")
	}
	if p.broken {
		n := w.fork(s)
		q := &n.p[i]
		q.broken = false
		if q.lis == open {
			q.lis = closed
		}
		if p.does < draining {
			w.decideNew(n, i, Broken)
			if q.new.Phase == NewProbation {
				q.waits, q.tBroken = true, ticksWait
			}
		} else {
			w.stopDraining(n, i)
		}
		w.step(urgent, i, "decides that it is broken", "")
	}
	if p.reject {
		n := w.fork(s)
		n.p[i].reject = false
		w.decideNew(n, i, Reject)
		w.step(urgent, i, "decides on Reject", "")
	}
	if p.upgrade {
		n := w.fork(s)
		n.p[i].upgrade = false
		switch {
		case p.does != serving:
		case s.busy(i):
			n.p[i].pending = true
		default:
			w.decideNew(n, i, Upgrade)
		}
		w.step(urgent, i, "decides on an upgrade", "")
	}
	if p.pending && p.does == serving && !s.busy(i) && (p.new.Phase == NewFree || p.new.Phase == NewSettled) {
		n := w.fork(s)
		n.p[i].pending = false
		w.decideNew(n, i, Upgrade)
		w.step(urgent, i, "decides on an upgrade that it has kept", "")
	}
}

// stopDraining is a stop of a process that drains: there is no way back any more.
func (w *world) stopDraining(n *state, i int) {
	n.children(i, func(c int, l *link) {
		if l.old.Phase != OldDraining {
			return
		}
		if !n.p[c].lives() {
			n.g.service = elsewhere
		}
		w.decideOld(n, c, Stop)
	})
}

// service says what a stop that process i takes now is a stop of.
func (s *state) service(i int) uint8 {
	p := &s.p[i]
	if !p.told || p.new.Phase == NewWaiting || p.new.Phase == NewRolledBack {
		return 0
	}
	service := uint8(i + 1)
	if !p.toldCurr {
		service = elsewhere
	}
	s.children(i, func(_ int, l *link) {
		if l.old.Phase == OldProbation || l.old.Phase == OldAsked {
			service = elsewhere
		}
	})
	if i > 0 && (s.l[i-1].another || s.l[i-1].old.Phase == OldGivenUp && s.busy(int(s.l[i-1].parent))) {
		service = elsewhere // another one has been started in its place
	}
	return service
}

// ends emits the end of a process that drains or stops, and its exit.
func (w *world) ends(s *state, i int) {
	p := &s.p[i]
	waits := p.does < draining
	leaves, given := false, false
	s.children(i, func(c int, l *link) {
		switch l.old.Phase {
		case OldStarting, OldProbation, OldAsked:
			waits = true
		case OldDraining:
			waits = waits || w.neglects != lastLook && (!s.p[c].lives() || !l.up.empty())
		}
		given = given || l.leaving != leavingNot || l.attempt != attemptNone
		leaves = leaves || l.leaving == leavingWaits && s.p[c].runs()
	})
	switch {
	case waits:
	case p.does != ended:
		k := lazy
		if !p.served {
			k = urgent
		}
		n := w.fork(s)
		n.p[i].does = ended
		n.children(i, func(c int, l *link) {
			if l.old.Phase == OldDraining {
				n.g.lone = n.g.lone || n.p[c].hurt // nobody can know that yet
				w.decideOld(n, c, Drained)
			}
		})
		w.step(k, i, "has drained", "")
	case !given || leaves:
		k := urgent
		if given {
			k = lazy // it need not wait for one that was told
		}
		n := w.fork(s)
		if n.g.pid == uint8(i+1) {
			n.g.pid = 0
		}
		n.die(i, exited)
		w.step(k, i, "exits", "")
	}
}

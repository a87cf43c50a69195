package handover

// attempt emits what the goroutine does that starts process c.
func (w *world) attempt(s *state, i, c int, l *link) {
	if l.attempt != attemptRuns {
		return
	}
	result := func(k kind, a attempt, why string) {
		w.n.l[c-1].attempt = a
		w.n.l[c-1].spoke = a == attemptReady
		w.step(k, i, why, names[c:c+1])
	}
	if !l.up.empty() {
		switch w.fork(s).l[c-1].up.pop() {
		case wordReady:
			result(urgent, attemptReady, "reads ready of")
		default:
			result(urgent, attemptFailed, "reads failed of")
		}
	} else if !s.p[c].lives() || l.deaf {
		w.fork(s)
		result(urgent, attemptFailed, "reads the end of")
	}
	if l.cancel || l.old.Phase == OldGivenUp {
		w.fork(s).l[c-1].cancel = false
		result(urgent, attemptFailed, "gives up the attempt to start")
		if !s.p[c].lives() && l.up.has(wordSettled) { // its last words, if its end was seen
			w.fork(s).l[c-1].cancel = false
			w.n.l[c-1].up = queue{}
			result(urgent, attemptSettled, "gives up the attempt, and reads the last words of")
		}
	}
	w.fork(s) // a word that has come holds
	if l.up[0] == wordReady {
		w.n.l[c-1].up.pop()
		result(lazy, attemptReady, "has the ready timeout, and finds ready of")
	} else {
		result(lazy, attemptFailed, "has the ready timeout of")
	}
}

// leaving emits what the goroutine does that sees out process c, which was given up.
func (w *world) leaving(s *state, i, c int, l *link) {
	child := &s.p[c]
	switch l.leaving {
	case leavingNot, leavingGone:
	case leavingSoon:
		n := w.fork(s)
		n.l[c-1].leaving, n.l[c-1].tOut = leavingWaits, ticksOut
		if l.spoke || l.up.has(wordReady) || !child.lives() {
			w.step(urgent, i, "waits for the end of", names[c:c+1])
			return
		}
		n.l[c-1].sigterm, n.p[c].term, n.p[c].given = true, true, true
		w.step(urgent, i, "sends SIGTERM to", names[c:c+1])
	case leavingWaits:
		switch {
		case !l.up.empty():
			if !w.isLastWord(l) { // else the lifecycle hears it
				x := w.fork(s).l[c-1].up.pop()
				w.step(urgent, i, "passes over a word of "+names[c:c+1]+":", wordNames[x])
			}
		case !child.lives():
			w.fork(s).l[c-1].leaving = leavingGone
			w.step(urgent, i, "sees the end of", names[c:c+1])
		}
		if child.lives() && l.tOut == 0 {
			w.fork(s).kill(c)
			w.step(urgent, i, "does not wait longer, and kills", names[c:c+1])
		}
	}
}

// isLastWord reports whether the next word of a process that was given up is a settled that holds.
func (w *world) isLastWord(l *link) bool {
	return l.up[0] == wordSettled && (!l.sigterm || w.neglects == ownSIGTERM)
}

// asOld emits the decisions about process c.
func (w *world) asOld(s *state, i, c int, l *link) {
	switch l.attempt {
	case attemptNone, attemptRuns:
	default:
		w.attempted(s, i, c, l)
	}
	switch l.old.Phase {
	case OldProbation, OldAsked:
		w.timers(s, i, c, l)
		w.hears(s, i, c, l)
	case OldDraining:
		w.hears(s, i, c, l)
	case OldGivenUp:
		w.given(s, i, c, l)
	}
}

// attempted emits the lifecycle's taking of an attempt's result.
func (w *world) attempted(s *state, i, c int, l *link) {
	result := func(what string, events ...OldEvent) {
		n := w.fork(s)
		n.l[c-1].attempt = attemptNone
		for _, e := range events {
			w.decideOld(n, c, e)
		}
		w.step(urgent, i, what, names[c:c+1])
	}
	switch {
	case l.attempt == attemptSettled:
		result("decides on settled, and a failed start, of", Settled, Failed)
	case l.attempt == attemptFailed:
		result("decides on a failed start of", Failed)
	case w.probation:
		result("decides on ready of", Ready)
	default:
		result("decides on ready for good of", ReadyForGood)
	}
	if l.attempt == attemptReady && !s.p[c].lives() {
		result("decides on ready, and the end, of", Failed)
	}
}

// hears emits the decision on the next word of process c, or on its end.
func (w *world) hears(s *state, i, c int, l *link) {
	dead := !s.p[c].lives()
	n := w.fork(s)
	if l.up.empty() {
		switch {
		case l.deaf && !(dead && w.neglects == deafFirst): // not all was heard
			w.decideOld(n, c, Deaf)
			w.step(urgent, i, "decides on not hearing any more", names[c:c+1])
		case dead:
			w.decideOld(n, c, Ended)
			w.step(urgent, i, "decides on the end of", names[c:c+1])
		}
		return
	}
	q := &n.l[c-1]
	said := q.up.pop()
	switch said {
	case wordPong:
		q.ponged = true
		w.decideOld(n, c, Pong)
	case wordReject, wordFailed:
		w.decideOld(n, c, Rejected)
	case wordSettled:
		w.decideOld(n, c, Settled)
	case wordConfirmed:
		e := Confirmed
		if dead && w.neglects != confirmedDead {
			e = ConfirmedDead
		}
		w.decideOld(n, c, e)
	case wordAgain:
		n.p[i].pending = true
	}
	w.step(urgent, i, "decides on a word of "+names[c:c+1]+":", wordNames[said])
}

// timers emits what comes by time, or from the caller of the upgrade.
func (w *world) timers(s *state, i, c int, l *link) {
	late := func(in, late OldEvent) OldEvent {
		if l.age > ticksTooLate {
			return late
		}
		return in
	}
	if l.beat {
		n := w.fork(s)
		q := &n.l[c-1]
		q.beat, q.ponged, q.missed = false, false, true
		if l.missed && !l.ponged {
			w.decideOld(n, c, late(Silent, SilentLate))
			w.step(urgent, i, "decides on the silence of", names[c:c+1])
		} else {
			n.sayDown(c, wordPing)
			w.step(urgent, i, "says its next ping to", names[c:c+1])
		}
	}
	if l.old.Phase == OldProbation && !l.old.Due && l.tDue == 0 {
		w.decideOld(w.fork(s), c, Due)
		w.step(urgent, i, "decides that it is time for", names[c:c+1])
	}
	if l.cancel {
		n := w.fork(s)
		n.l[c-1].cancel = false
		w.decideOld(n, c, late(Canceled, CanceledLate))
		w.step(urgent, i, "decides on the end of the context of", names[c:c+1])
	}
}

// given emits what becomes of a process that was given up.
func (w *world) given(s *state, i, c int, l *link) {
	switch {
	case l.leaving == leavingWaits && w.isLastWord(l):
		n := w.fork(s)
		n.l[c-1].up.pop()
		if !l.old.Stopping && w.neglects != stopsAll {
			w.stopOthers(n, i, c)
		}
		w.decideOld(n, c, Settled)
		w.step(urgent, i, "decides on a last word of "+names[c:c+1]+":", "settled")
	case l.leaving == leavingGone:
		n := w.fork(s)
		if q := &n.l[c-1]; q.report == reportNone && !l.old.Stopping {
			q.report = reportFailed
		}
		w.decideOld(n, c, Gone)
		if n.p[i].does == serving && w.neglects != restoresPIDFile && (n.g.pid == 0 || n.g.pid == uint8(c+1)) {
			n.g.pid = uint8(i + 1)
		}
		w.step(urgent, i, "is done with", names[c:c+1])
	}
}

// stopOthers has the stop that a process says, which was given up, reach the others that
// process i has started.
func (w *world) stopOthers(n *state, i, c int) {
	n.children(i, func(x int, l *link) {
		if x == c || l.old.Phase == OldIdle {
			return
		}
		if l.old.Phase != OldStarting && l.old.Phase != OldGivenUp {
			n.g.service = elsewhere // the service is that one's, as with any stop of this process
		}
		w.decideOld(n, x, Stop)
	})
}

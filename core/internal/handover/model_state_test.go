package handover

import "slices"

// The most processes in a run: the old one, the new one, and one more, which either of the
// two can have started.
const maxProcs = 3

// life says what has become of a process.
type life uint8

const (
	unborn life = iota
	alive
	killed
	exited
)

// listeners says what becomes of a new connection.
type listeners uint8

const (
	held listeners = iota // a new process that does not accept yet
	open
	paused
	closed
)

// doing is what a process's lifecycle is about.
type doing uint8

const (
	starting doing = iota
	serving
	draining
	stopping
	ended // it is about to exit
)

// saying is where the goroutine in Ready stands.
type saying uint8

const (
	readyNot   saying = iota
	readyWaits        // for the old process's word
	readyPosted
	readyDone
)

// A state is made of bytes only: two are the same if they are equal. Fields marked ghost are
// read by the judge alone.
type state struct {
	p [maxProcs]proc
	l [maxProcs - 1]link // l[i-1] is between p[i] and the process that has started it
	g globals
}

type globals struct {
	pid     uint8 // the process that the pid file names, and one; 0 is nobody
	service uint8 // ghost: the process that took a stop of the service, and one; elsewhere
	lone    bool  // ghost: the environment has ended the last process that could serve
	left    budget
}

// elsewhere: the service was stopped where another process may serve on.
const elsewhere = 7

// budget is how often the environment does what: kill -9, SIGSTOP, SIGTERM and so on, see environment.
type budget struct {
	kills, freezes, terms, upgrades, cancels, rejects, breaks, fails, deafs uint8
}

// proc is one process.
type proc struct {
	life   life
	frozen bool
	lis    listeners
	does   doing
	served bool // it has accepted, so its drain takes time
	new    New

	// What waits for the lifecycle.
	term, upgrade, broken, reject bool
	pending                       bool // an upgrade, for later
	effects                       [8]effect

	// As a new process.
	ready    saying
	post     NewEvent // of readyPosted
	inbox    queue    // read from the old process, and not yet decided on
	word     word     // a commit that Ready's goroutine has not taken
	gone     bool     // the old process's end was read
	own      uint8    // the probation's own timer: off, running, its last second
	seesOff  bool
	hurt     bool // its listener is broken
	waits    bool // ... and the old process is to answer
	tWait    uint8
	tOwn     uint8
	tSee     uint8
	tBroken  uint8
	byEnv    bool  // ghost: the environment has killed it
	told     bool  // ghost: the environment has sent it SIGTERM
	toldCurr bool  // ghost: ... when it had the service
	given    bool  // ghost: nothing is expected of it any more
	shot     bool  // ghost: its old process or its next one has ended it
	asks     uint8 // ghost: what globals.service is once it has acted on SIGTERM
}

// attempt is where the goroutine of an upgrade stands.
type attempt uint8

const (
	attemptNone attempt = iota
	attemptRuns
	attemptReady   // its result waits for the lifecycle
	attemptFailed  // so does this
	attemptSettled // and this: settled was among the last words of a process that has ended
)

// leaving is where the goroutine stands that sees out a process that was given up.
type leaving uint8

const (
	leavingNot leaving = iota
	leavingSoon
	leavingWaits
	leavingGone // that waits for the lifecycle
)

// link is a handover.
type link struct {
	parent  uint8
	old     Old
	attempt attempt
	leaving leaving
	spoke   bool // ready was heard
	sigterm bool // the old process has sent SIGTERM
	cancel  bool // the context of Upgrade has ended, which waits for the lifecycle
	another bool // it was told that another process is about to be started
	deaf    bool // nothing of the new process can be heard any more
	beat    bool
	ponged  bool
	missed  bool
	tDue    uint8
	tOut    uint8 // until a process that was given up is killed
	age     uint8 // since commit
	up      queue // to the old process
	down    queue // to the new one
	report  report
	lie     bool // ghost: upgraded was said of a process that was known to be dead
}

type report uint8

const (
	reportNone report = iota
	reportUpgraded
	reportFailed
	reportBack
	reportLate
)

// Times, in ticks of 5 s, for a probation of 5 s and a drain timeout of 10 s.
const (
	ticksProbation = 1
	ticksTooLate   = 3 // probation + 10 s
	ticksOwn       = 4 // probation + 15 s; 1 s more is the next tick
	ticksWait      = 2 // for commit, and for an answer to reject
	ticksSee       = 4 // drain + 2 grace
	ticksSilent    = 2
	ticksOut       = 5 // the stop time
)

// word is what the two say.
type word uint8

const (
	noWord word = iota
	wordReady
	wordFailed
	wordPong
	wordReject
	wordSettled
	wordAgain
	wordConfirmed
	wordCommit
	wordCommitForGood
	wordConfirm
	wordAbort
	wordAbortStop
	wordPing
)

var wordNames = [...]string{"", "ready", "failed", "pong", "reject", "settled", "again", "confirmed",
	"commit", "commit for good", "confirm", "abort", "abort(stop)", "ping"}

const queueRoom = 6

// queue holds words in their order; the rest is noWord.
type queue [queueRoom]word

func (q *queue) empty() bool { return q[0] == noWord }

func (q *queue) has(w word) bool { return slices.Contains(q[:], w) }

func (q *queue) push(w word) {
	for i, x := range q {
		if x == noWord {
			q[i] = w
			return
		}
	}
	panic("the model's queue is too short")
}

func (q *queue) pop() word {
	w := q[0]
	copy(q[:], q[1:])
	q[queueRoom-1] = noWord
	return w
}

// effect is one of a decision's effects: 0 for none, else which handover it is of, and what.
// Handover 0 is that of the process as a new one.
type effect uint8

func oldEffect(child int, e OldEffect) effect { return effect(child)<<5 | effect(e) + 1 }
func newEffect(e NewEffect) effect            { return effect(e) + 1 }

func (e effect) child() int     { return int(e >> 5) }
func (e effect) old() OldEffect { return OldEffect(e&31 - 1) }
func (e effect) new() NewEffect { return NewEffect(e&31 - 1) }

func (p *proc) add(e effect) {
	for i, x := range p.effects {
		if x == 0 {
			p.effects[i] = e
			return
		}
	}
	panic("the model has no room for so many effects")
}

func (p *proc) next() effect {
	e := p.effects[0]
	copy(p.effects[:], p.effects[1:])
	p.effects[len(p.effects)-1] = 0
	return e
}

func (p *proc) lives() bool { return p.life == alive }
func (p *proc) runs() bool  { return p.life == alive && !p.frozen }

func (p *proc) listen() {
	p.lis = open
	if p.hurt {
		p.lis = closed
	}
}

// accepts: one that stands still accepts again when it goes on.
func (p *proc) accepts() bool { return p.life == alive && p.lis == open }

func (s *state) parent(i int) *proc { return &s.p[s.l[i-1].parent] }

// children calls f for each handover of process i.
func (s *state) children(i int, f func(c int, l *link)) {
	for c := 1; c < maxProcs; c++ {
		if l := &s.l[c-1]; s.p[c].life != unborn && int(l.parent) == i {
			f(c, l)
		}
	}
}

// die ends process i. What it had not read is gone, what it has said can be read.
func (s *state) die(i int, how life) {
	p := &s.p[i]
	*p = proc{life: how, lis: closed, byEnv: p.byEnv, told: p.told, toldCurr: p.toldCurr, given: p.given, shot: p.shot}
	if i > 0 {
		s.l[i-1].down = queue{}
	}
	s.children(i, func(_ int, l *link) {
		*l = link{parent: l.parent, another: l.another, down: l.down, report: l.report, lie: l.lie}
	})
}

// sayUp says a word to the old process of i.
func (s *state) sayUp(i int, w word) {
	l := &s.l[i-1]
	switch {
	case !s.parent(i).lives() || l.deaf:
	case l.old.Phase == OldReleased || l.old.Phase == OldIdle: // nobody listens
	case (w == wordPong || w == wordAgain) && l.up.has(w):
	default:
		l.up.push(w)
	}
}

// sayDown says a word to new process c.
func (s *state) sayDown(c int, w word) {
	l := &s.l[c-1]
	if s.p[c].lives() && (w != wordPing && w != wordAbortStop || !l.down.has(w)) {
		l.down.push(w)
	}
}

// survivor reports whether a process is left that could serve. One that settled waits for is as good as told.
func (s *state) survivor() bool {
	for i := range s.p {
		p := &s.p[i]
		told := p.told || p.given
		s.children(i, func(_ int, l *link) { told = told || l.up.has(wordSettled) && !l.sigterm })
		if p.life == alive && p.does != ended && !told {
			return true
		}
	}
	return false
}

package core

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// TestBooks_CountEachProcessOnce plays services whose processes upgrade, drain for long, are rolled back, are killed, and
// tell each other at any time. What the current one knows never shrinks, and is never more than there was. It is all that
// there was when all others have ended and none was killed.
func TestBooks_CountEachProcessOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		s := &serviceOfBooks{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), seed: seed}
		s.start()
		for range 60 {
			s.step()
		}
		if t.Failed() {
			return
		}
	}
}

// serviceOfBooks is a service in which processes do nothing but count and tell.
type serviceOfBooks struct {
	t    *testing.T
	rnd  *rand.Rand
	seed uint64
	now  time.Time

	current *bookKeeper
	drains  []*bookKeeper // each is heard by current, or by one of the others
	counted uint64        // by all processes that there were
	known   uint64        // the last total
	killed  int
	pids    int
	log     []string
}

// bookKeeper is a process.
type bookKeeper struct {
	pid, generation int
	served, said    uint64
	books           *books
	hears           []*bookKeeper // older ones, and new ones that are given up
	hearer          *bookKeeper   // that hears this one; nil if it is the current process
	next            *bookKeeper   // that has the service instead; nil for the current one
}

func (s *serviceOfBooks) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *serviceOfBooks) process(generation int) *bookKeeper {
	s.pids++
	return &bookKeeper{pid: 100000000 + s.pids, generation: generation, books: new(books)}
}

func (s *serviceOfBooks) start() { s.current = s.process(0) }

// account is what the process would say of itself.
func (s *serviceOfBooks) account(p *bookKeeper) control.Account {
	s.now = s.now.Add(-time.Second) // the clock is set back
	p.said++
	return control.Account{
		PID: p.pid, Generation: p.generation, Told: s.now, Number: p.said, Ended: p.books.ended, Started: time.Unix(1, 0),
		Counts: control.Counts{Servers: []control.ServerCounts{{Server: "x", Requests: p.served}}},
	}
}

// tell has the process tell the one that hears it.
func (s *serviceOfBooks) tell(p *bookKeeper) {
	if p.hearer == nil {
		return
	}
	if p.next == nil || p.next != p.hearer && p.hearer.generation < p.generation { // a new one that is given up
		p.hearer.books.take(s.account(p))
		return
	}
	b, err := json.Marshal(p.books.all(s.account(p), process{p.next.generation, p.next.pid}))
	var all control.Totals
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	all.Processes = slices.DeleteFunc(all.Processes, func(a control.Account) bool { return a.PID == p.hearer.pid })
	p.hearer.books.takeTotals(all)
}

// heard are the processes that p hears.
func (p *bookKeeper) heard() heard {
	h := heard{itself: map[process]bool{}}
	for _, x := range p.hears {
		h.itself[process{x.generation, x.pid}] = true
		if x.generation < p.generation {
			h.older = append(h.older, x.generation)
		}
	}
	return h
}

func (s *serviceOfBooks) living() []*bookKeeper { return append([]*bookKeeper{s.current}, s.drains...) }

// serve has the process count something.
func (s *serviceOfBooks) serve(p *bookKeeper) {
	n := s.rnd.Uint64N(10)
	p.served += n
	s.counted += n
}

// step does something. Every other service has no process that is killed.
func (s *serviceOfBooks) step() {
	all := s.living()
	one := all[s.rnd.IntN(len(all))]
	switch s.rnd.IntN(8) {
	case 0, 1:
		s.serve(one)
	case 2, 3:
		s.tell(one)
	case 4:
		s.upgrade()
	case 5:
		s.rolledBack()
	case 6:
		s.ends(one, true)
	case 7:
		if s.seed%2 == 0 {
			s.ends(one, false)
		}
	}
	s.check()
}

// upgrade starts a new process, which has the service from here on.
func (s *serviceOfBooks) upgrade() {
	old, next := s.current, s.process(s.current.generation+1)
	s.note("%d upgrades to %d", old.generation, next.generation)
	old.next, old.hearer = next, next
	next.hears = append(next.hears, old)
	old.books.hand(true)
	s.tell(old)
	next.books.hand(false)
	s.drains, s.current = append(s.drains, old), next
}

// rolledBack starts one that serves for a while, and is given up.
func (s *serviceOfBooks) rolledBack() {
	old, next := s.current, s.process(s.current.generation+1)
	s.note("%d is rolled back to %d", next.pid, old.generation)
	old.next, old.hearer = next, next
	old.books.hand(true)
	s.tell(old)
	s.serve(next)
	if s.rnd.IntN(2) == 0 {
		old.books.take(s.account(next))
	}
	old.next, old.hearer = nil, nil
	old.books.hand(false)
	next.hearer = old
	old.hears = append(old.hears, next)
	s.drains = append(s.drains, next)
}

// ends is the end of a process that is not the current one, with a last word or killed.
func (s *serviceOfBooks) ends(p *bookKeeper, well bool) {
	waits := slices.ContainsFunc(p.hears, func(x *bookKeeper) bool { return x.generation > p.generation })
	if p == s.current || well && waits {
		return // it sees those out first that it has started
	}
	s.note("%d (generation %d) ends, well: %t", p.pid, p.generation, well)
	h := p.hearer
	if well {
		p.books.end()
		s.tell(p)
		for _, x := range p.hears { // are left to the one that hears p
			x.hearer, x.next = h, h
			h.hears = append(h.hears, x)
		}
	} else {
		s.killed++
		for _, x := range p.hears {
			s.forget(x)
		}
	}
	without := func(x *bookKeeper) bool { return x == p }
	s.drains, h.hears = slices.DeleteFunc(s.drains, without), slices.DeleteFunc(h.hears, without)
	h.books.gone(p.generation, p.pid, h.heard())
}

// forget is for a process that nobody hears any more, and those that it hears.
func (s *serviceOfBooks) forget(p *bookKeeper) {
	s.drains = slices.DeleteFunc(s.drains, func(x *bookKeeper) bool { return x == p })
	for _, x := range p.hears {
		s.forget(x)
	}
}

// check looks at what the current process knows.
func (s *serviceOfBooks) check() {
	t := s.current.books.totals(s.account(s.current))
	sum := t.Ended
	for _, a := range t.Processes {
		sum = sum.Plus(a.Counts)
	}
	got := t.Total.Requests()
	if parts := sum.Requests(); got != parts {
		s.t.Errorf("seed %d: the total is %d, and the parts are %d: %q", s.seed, got, parts, s.log)
	}
	if got < s.known || got > s.counted {
		s.t.Errorf("seed %d: %d after %d, and there were %d: %q", s.seed, got, s.known, s.counted, s.log)
	}
	s.known = got
	if s.killed == 0 && t.MissingCount != 0 {
		s.t.Errorf("seed %d: %d are missing: %q", s.seed, t.MissingCount, s.log)
	}
	if len(s.drains) > 0 {
		return
	}
	if s.killed == 0 && got != s.counted {
		s.t.Errorf("seed %d: %d requests, want %d: %q", s.seed, got, s.counted, s.log)
	}
	if n := len(s.current.books.others); n > 0 {
		s.t.Errorf("seed %d: %d processes are still listed: %q", s.seed, n, s.log)
	}
}

// TestBooks_LateLastWord: a process that was found gone, and whose last word comes after that, is not missing.
func TestBooks_LateLastWord(t *testing.T) {
	t.Parallel()
	var b books
	a := control.Account{PID: 100000001, Generation: 1, Number: 1, Counts: control.Counts{CutRequests: 1}}
	b.take(a)
	b.gone(2, 100000002, heard{older: []int{0}, itself: map[process]bool{}}) // of which 0 can tell, too
	b.gone(1, 100000001, heard{older: []int{0}})
	if got := b.totals(control.Account{}); got.MissingCount != 1 || got.Total.CutRequests != 1 {
		t.Fatalf("%+v", got)
	}
	a.Ended, a.Counts.CutRequests = true, 3
	b.take(a)
	if got := b.totals(control.Account{}); got.MissingCount != 0 || got.Total.CutRequests != 3 || got.Ended.CutRequests != 3 {
		t.Errorf("%+v", got)
	}
}

// TestBooks_HostileTotals: another process can name anything, and as many processes as it wants.
func TestBooks_HostileTotals(t *testing.T) {
	t.Parallel()
	var b books
	var all control.Totals
	for i := range 1000 {
		all.Processes = append(all.Processes, control.Account{PID: i - 3, Generation: -i, Number: uint64(i)})
		all.Missing = append(all.Missing, control.Missing{PID: i})
	}
	for range 3 {
		b.takeTotals(all)
	}
	b.gone(0, 0, heard{})
	if got := b.totals(control.Account{}); len(b.others) > maxProcesses || len(got.Missing) > maxMissing {
		t.Errorf("%d processes, %d missing", len(b.others), len(got.Missing))
	}
	b = books{}
	for _, garbage := range []string{`[]`, `{"processes":7}`, `{"ended":{"upgrades":[{"count":-1}]}}`, `x`} {
		b.open(1, []byte(garbage))
	}
	if got := b.totals(control.Account{}); got.MissingCount != 0 || got.Total.Requests() != 0 {
		t.Errorf("%+v", got)
	}
}

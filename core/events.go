package core

import (
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// events are those of the service that this process has heard of, and those who follow them. Nothing that these do or
// don't holds anything up.
type events struct {
	mu      sync.Mutex
	recent  []Event // the last ones, in the order in which they were heard
	streams map[*eventStream]struct{}
	over    chan struct{} // closed when another process is the one to ask; nil: nobody wants to know
	isOver  bool
}

// eventStream is who follows the events.
type eventStream struct {
	ch   chan Event
	want func(Event) bool // nil: all
}

const (
	// maxEvents is how many events are remembered; an upgrade has about 15.
	maxEvents = 256
	// maxRefusals is how many of them are of upgrades that were not begun.
	maxRefusals = 16
	// maxUnseen is how many wait for one who follows.
	maxUnseen = 64
)

// add takes an event in, and reports whether it is new.
func (t *events) add(e Event) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.ContainsFunc(t.recent, func(x Event) bool { return x.ID == e.ID }) {
		return false
	}
	if isRefusal(e) {
		t.makeRoomLocked(isRefusal, maxRefusals)
	}
	t.makeRoomLocked(func(Event) bool { return true }, maxEvents)
	t.recent = append(t.recent, e)
	t.showLocked(e, func(*eventStream) bool { return true })
	return true
}

// makeRoomLocked forgets the oldest event of a kind if there are so many.
func (t *events) makeRoomLocked(kind func(Event) bool, limit int) {
	n := 0
	for _, e := range t.recent {
		if kind(e) {
			n++
		}
	}
	if n >= limit {
		i := slices.IndexFunc(t.recent, kind)
		t.recent = slices.Delete(t.recent, i, i+1)
	}
}

// isRefusal reports whether it tells of an upgrade that was not begun: a script can ask again and again.
func isRefusal(e Event) bool { return e.Step == control.StepConcluded && e.Attempt == "" }

// show shows an event to those who follow an upgrade, or a check, and to nobody else.
func (t *events) show(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.showLocked(e, func(s *eventStream) bool { return s.want != nil })
}

func (t *events) showLocked(e Event, to func(*eventStream) bool) {
	for s := range t.streams {
		if !to(s) || s.want != nil && !s.want(e) {
			continue
		}
		select {
		case s.ch <- e:
		default: // it does not look
		}
	}
}

// follow returns a stream of the events from here on, and those before that are not older than since.
func (t *events) follow(since time.Time, want func(Event) bool) (s *eventStream, before []Event) {
	s = &eventStream{make(chan Event, maxUnseen), want}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams == nil {
		t.streams = make(map[*eventStream]struct{})
	}
	t.streams[s] = struct{}{}
	for _, e := range t.recent {
		if !e.Time.Before(since) {
			before = append(before, e)
		}
	}
	slices.SortStableFunc(before, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return s, before
}

// leave ends the stream.
func (t *events) leave(s *eventStream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, s)
}

// elsewhere is closed when another process is the one to ask, or none: when an upgrade is over that was good, and when a
// stop is.
func (t *events) elsewhere() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over == nil {
		t.over = make(chan struct{})
		if t.isOver {
			close(t.over)
		}
	}
	return t.over
}

// end ends the streams of the control socket. Those who follow them ask the process that is current then.
func (t *events) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil && !t.isOver {
		close(t.over)
	}
	t.isOver = true
}

// renew undoes end: this process serves again.
func (t *events) renew() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.isOver {
		t.over, t.isOver = nil, false
	}
}

// all returns what is remembered.
func (t *events) all() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.recent)
}

// ofUpgrade reports whether the stream of an upgrade has events like this one.
func ofUpgrade(e Event) bool {
	switch e.Step {
	case control.StepQueued, control.StepStarted, control.StepReady, control.StepProbation, control.StepConfirmed,
		control.StepTakenBack, control.StepWarning:
		return e.By == os.Getpid()
	}
	return false
}

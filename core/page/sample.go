package page

import (
	"context"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

const (
	// askEvery is how old an answer of the app may be that a page gets: several pages ask at the same time.
	askEvery = 200 * time.Millisecond
	// askWithin is how long the app may take to answer.
	askWithin = 5 * time.Second
	// measureFor is how long the app measures durations after a question: longer than the time to the next one.
	measureFor = 5 * time.Second
	// pointEvery is how far apart the points of a plot are at least. It is a little less than the second after which a
	// page asks again.
	pointEvery = 900 * time.Millisecond
	// gapAfter is when the time between two questions is left blank in a plot.
	gapAfter = 10 * time.Second
	// mostPoints are those of ten minutes.
	mostPoints = 600
)

// sampler asks the app when somebody watches, and remembers what it has plotted. It asks nothing by itself, so nothing
// runs and nothing is measured when nobody watches.
type sampler struct {
	source Source

	mu     sync.Mutex // held while the app is asked: the others want the same answer
	last   sample
	before reading // of the last point; its time is zero before the first one
	points []point
	seq    int // of the last point
}

// sample is what the app has answered.
type sample struct {
	at        time.Time
	status    control.Status
	statusErr error
	totals    control.Totals
	totalsErr error
}

func (s *sampler) init(source Source) { s.source = source }

// ask returns what the app says now, and the points after the one with this number.
func (s *sampler) ask(ctx context.Context, after int) (now sample, points []point, seq int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.last.at) > askEvery {
		// Others wait for the answer: it does not depend on who has asked first.
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), askWithin, control.ErrHangs)
		s.last = s.read(ctx)
		cancel()
		s.plotLocked(s.last)
	}
	if after < 0 || after > s.seq {
		after = 0
	}
	fresh := min(s.seq-after, len(s.points))
	return s.last, append([]point{}, s.points[len(s.points)-fresh:]...), s.seq
}

// read asks the app.
func (s *sampler) read(ctx context.Context) (r sample) {
	r.status, r.statusErr = s.source.Status(ctx)
	if r.statusErr == nil {
		r.totals, r.totalsErr = s.source.Totals(ctx, measureFor)
	} else {
		r.totalsErr = r.statusErr
	}
	if cause := context.Cause(ctx); cause != nil && r.statusErr != nil {
		r.statusErr = cause
	}
	r.at = time.Now()
	return r
}

// plotLocked adds a point if it is time.
func (s *sampler) plotLocked(now sample) {
	if now.totalsErr != nil {
		s.before = reading{} // what follows is plotted behind a gap
		return
	}
	passed := now.at.Sub(s.before.at)
	switch {
	case s.before.at.IsZero() || passed > gapAfter || now.totals.Total.Requests() < s.before.total:
		s.before = read(now)
		return
	case passed < pointEvery:
		return
	}
	p, next := s.before.to(now)
	s.seq++
	p.Seq = s.seq
	s.before = next
	s.points = append(s.points[max(0, len(s.points)+1-mostPoints):], p)
}

package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

const (
	barWidth  = 30
	barRedraw = 100 * time.Millisecond
)

// progress shows the steps of an upgrade, and a bar for those that last.
type progress struct {
	s *screen

	mu     sync.Mutex
	ticker *time.Ticker // while a bar moves by the time; nil otherwise
	stop   chan struct{}
	drains bool // the drain's first step was shown
}

func newProgress(s *screen) *progress { return &progress{s: s} }

// event shows one step.
func (p *progress) event(e control.Event) {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Step {
	case control.StepFailed, control.StepRolledBack, control.StepRefused: // the outcome says it
	case control.StepProbation:
		_ = p.s.line("%s", e)
		p.moveLocked(time.Now(), e.Probation)
	case control.StepDraining:
		done := e.Total - e.Remaining
		if !p.drains || !p.s.live {
			p.drains = true
			_ = p.s.line("%s", e)
		}
		p.s.moving(fmt.Sprintf("%-10s %s %d left", "", bar(float64(done), float64(e.Total), barWidth), e.Remaining))
	default:
		_ = p.s.line("%s", e)
	}
}

// moveLocked moves a bar until end is called.
func (p *progress) moveLocked(began time.Time, whole time.Duration) {
	if !p.s.live {
		return
	}
	p.ticker, p.stop = time.NewTicker(barRedraw), make(chan struct{})
	go func(tick <-chan time.Time, stop <-chan struct{}) {
		for {
			select {
			case <-tick:
			case <-stop:
				return
			}
			p.mu.Lock()
			if p.ticker != nil {
				gone := min(time.Since(began), whole)
				p.s.moving(fmt.Sprintf("%-10s %s %.1f of %.1f s", "", bar(gone.Seconds(), whole.Seconds(), barWidth), gone.Seconds(), whole.Seconds()))
			}
			p.mu.Unlock()
		}
	}(p.ticker.C, p.stop)
}

// end leaves no bar behind. It may be called again.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ticker != nil {
		p.ticker.Stop()
		close(p.stop)
		p.ticker = nil
	}
	p.s.wipe()
}

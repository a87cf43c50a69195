package peer

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// reminder is a signal for an old process that does not go.
type reminder struct {
	after time.Duration // since the one before, or since the wait began
	sig   syscall.Signal
	why   string
}

// late is for an old process that is stuck past its own deadline. SIGTERM would be the operator's word, and stop the
// service if that process takes it back in the same moment. One that speaks only the plain protocol knows no other.
func (p *Old) late(limit time.Duration) []reminder {
	const why = "the old process did not go by its deadline"
	if p.Plain() {
		return []reminder{{timing.Add(limit, timing.Kill), syscall.SIGTERM, why}, {timing.Kill, syscall.SIGKILL, why}}
	}
	return []reminder{{timing.Add(limit, 2*timing.Kill), syscall.SIGKILL, why}}
}

// idle is for an old process that has said that its drain is over. It serves nothing, and does not serve again, so
// that its deadline bounds nothing any more. SIGTERM means that its main is to hurry: one that waits for it goes on.
func idle() []reminder {
	const why = "the main of the old process does not return"
	return []reminder{{timing.Kill, syscall.SIGTERM, why}, {timing.Main - timing.Kill, syscall.SIGKILL, why}}
}

// SeeOff sees to it that the old process goes. limit is how long it still drains, by its own deadline. settle returns when
// the lifecycle has dealt with what was heard.
func (p *Old) SeeOff(limit time.Duration, done <-chan struct{}, settle func(), log *slog.Logger) {
	words, drained := p.late(limit), p.Drained
	t := time.NewTimer(words[0].after)
	defer t.Stop()
	for {
		var due <-chan time.Time
		if len(words) > 0 {
			due = t.C
		}
		select {
		case <-p.Gone:
			log.Debug("the old process is gone", "old_pid", p.PID())
			return
		case <-done:
			return
		case <-p.Aborted: // it serves again
			return
		case <-p.keptAlive: // it may serve again
			return
		case <-p.Left:
			return
		case <-drained:
			drained = nil
			if p.Plain() {
				continue
			}
			words = idle()
			t.Reset(words[0].after)
		case d := <-p.Drains: // the time of one that begins to drain counts from there
			if drained == nil {
				continue
			}
			words = p.late(d)
			t.Reset(words[0].after)
		case <-due:
			if !p.staysGivenUp(done) {
				return
			}
			if !p.Plain() {
				settle()
				if !p.staysGivenUp(done) { // which has taken a while
					return
				}
			}
			if drained != nil && !p.Plain() && (isClosed(drained) || len(p.Drains) > 0) {
				continue // it has more time, by what was heard only now
			}
			if !p.remind(words[0], log) {
				return
			}
			if words = words[1:]; len(words) > 0 {
				t.Reset(words[0].after)
			}
		}
	}
}

// remind sends the signal, and reports whether the old process is still to be seen off.
func (p *Old) remind(r reminder, log *slog.Logger) bool {
	err := p.end(r.sig)
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, errServes) {
		return false
	}
	if errors.Is(err, proc.ErrNotShown) {
		log.Warn(r.why, "error", err)
		return false
	}
	log.Warn(r.why+"; signal sent", "old_pid", p.PID(), "signal", r.sig.String(), "error", err)
	return true
}

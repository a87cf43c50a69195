// Package latency keeps how long the messages of a test took, and puts it into words.
package latency

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// near is how close to a move a message was sent that Report counts apart.
const near = 250 * time.Millisecond

// Log keeps messages. The zero Log has none. Any goroutine may call its methods.
type Log struct {
	mu  sync.Mutex
	all []message
}

type message struct {
	sent time.Time
	took time.Duration
}

// Add notes a message that was sent at some time and took so long.
func (l *Log) Add(sent time.Time, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, message{sent, took})
}

// Report says how long the messages took, and how long those that were sent around one of the moves.
func (l *Log) Report(moves []time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all, around []time.Duration
	for _, m := range l.all {
		all = append(all, m.took)
		if slices.ContainsFunc(moves, func(move time.Time) bool { return m.sent.Sub(move).Abs() < near }) {
			around = append(around, m.took)
		}
	}
	return fmt.Sprintf("%s; of the %d sent within %v of a move %s", quantiles(all), len(around), near, quantiles(around))
}

func quantiles(took []time.Duration) string {
	if len(took) == 0 {
		return "none"
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("median %v, p99 %v, p99.9 %v, most %v", at(0.5), at(0.99), at(0.999), at(1))
}

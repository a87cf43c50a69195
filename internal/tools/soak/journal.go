package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// generation is what the log says of one.
type generation struct {
	pid     int
	current time.Time     // since when it was
	drains  time.Time     // since when it does not accept; zero before
	handed  time.Time     // when the next one was told; zero before
	took    time.Duration // that upgrade, from the signal
	ended   time.Time     // zero before
	ledger  *ledger       // nil before
}

// journal is what the servers log, and what that comes to.
type journal struct {
	verdict *verdict
	done    chan struct{} // closed when no process is left that could write

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each line
	state   journalState
}

// journalState is a moment of the journal.
type journalState struct {
	history   []generation   // by number
	addresses []string       // of the first generation
	planned   map[int]string // how a process fails on purpose, by its pid; until the upgrade has
	onPurpose []int          // pids of all of those
	failed    map[string]int // upgrades that have failed on purpose, by how
	refused   int            // upgrades asked of a generation that had handed over
	outcome   time.Time      // when something last came of a signal
}

func newJournal(v *verdict) *journal {
	return &journal{
		verdict: v, done: make(chan struct{}), changed: make(chan struct{}),
		state: journalState{planned: map[int]string{}, failed: map[string]int{}},
	}
}

// read follows the log to its end, and keeps a copy.
func (j *journal) read(r io.Reader, keep io.Writer) {
	defer close(j.done)
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			_, _ = keep.Write(line)
			j.note(bytes.TrimSpace(line))
		}
		if err != nil {
			return
		}
	}
}

func (j *journal) note(line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() {
		close(j.changed)
		j.changed = make(chan struct{})
	}()
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		j.verdict.fail(checkLog, "not a log line: %s", line)
		return
	}
	s := &j.state
	switch e.Msg {
	case msgOnPurpose:
		s.planned[e.PID] = e.How
		s.onPurpose = append(s.onPurpose, e.PID)
	case msgCurrent:
		g := s.generation(e.Generation)
		g.pid, g.current = e.PID, e.Time
		if e.Generation == 0 {
			s.addresses = e.Addresses
		}
	case msgDraining:
		s.generation(e.Generation).drains = e.Time
	case msgUpgraded:
		g := s.generation(e.Generation)
		g.handed, g.took, s.outcome = e.Time, e.Took, e.Time
	case msgEnded:
		g := s.generation(e.Generation)
		g.ended, g.ledger = e.Time, e.Ledger
	case msgRefused:
		s.refused++
		s.outcome = e.Time
	case msgFailed:
		s.outcome = e.Time
		if how, ok := s.planned[e.culprit()]; ok {
			s.failed[how]++
			delete(s.planned, e.culprit())
			return
		}
		j.verdict.fail(checkUpgrades, "one has failed that should not: %s", line)
	default:
		if e.Level > slog.LevelInfo {
			j.verdict.fail(checkLog, "%s", line)
		}
	}
}

// generation returns the n-th, which the log names for the first time perhaps.
func (s *journalState) generation(n int) *generation {
	for len(s.history) <= n {
		s.history = append(s.history, generation{})
	}
	return &s.history[n]
}

// newest returns the number of the current generation, and -1 before there is one.
func (s *journalState) newest() int {
	for n := len(s.history) - 1; n >= 0; n-- {
		if !s.history[n].current.IsZero() {
			return n
		}
	}
	return -1
}

func (s *journalState) failures() (n int) {
	for _, k := range s.failed {
		n += k
	}
	return n
}

// look returns a copy of the state.
func (j *journal) look() *journalState {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.state
	s.history, s.failed, s.planned = slices.Clone(s.history), maps.Clone(s.failed), maps.Clone(s.planned)
	s.onPurpose = slices.Clone(s.onPurpose)
	return &s
}

// await waits until the n-th generation is current.
func (j *journal) await(ctx context.Context, n int) error {
	for {
		j.mu.Lock()
		newest, changed := j.state.newest(), j.changed
		j.mu.Unlock()
		if newest >= n {
			return nil
		}
		select {
		case <-changed:
		case <-j.done:
			return errAllEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

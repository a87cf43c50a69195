package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// entry is one line of a server's log.
type entry struct {
	Time       time.Time
	Level      slog.Level
	Msg        string
	Generation int
	PID        int `json:"own_pid"`
	Error      string
	Addresses  []string
	Took       units
	How        string
	Ledger     map[string]int // in core's words
	Census     own.Census
}

// units is a duration as core logs it, "1.5s".
type units time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *units) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*u = units(d)
	return err
}

var newProcess = regexp.MustCompile(`\(pid (\d+)\)`)

// culprit is the process that a failed upgrade failed of: the new one, which the
// error names, or the old one if that refused to start it.
func (e entry) culprit() int {
	pid := 0
	if m := newProcess.FindStringSubmatch(e.Error); m != nil {
		pid, _ = strconv.Atoi(m[1])
	} else if strings.Contains(e.Error, own.OnPurpose) {
		pid = e.PID
	}
	return pid
}

// generation is what the log says of one.
type generation struct {
	pid       int
	addresses []string
	current   time.Time      // since when it was
	handed    time.Time      // when the next one was told; zero before
	took      time.Duration  // that upgrade, from the signal
	ended     time.Time      // zero before
	ledger    map[string]int // nil before
}

// sample is the census of a generation.
type sample struct {
	own.Census
	generation int
}

// journal is what the servers log, and what that comes to. They write to it.
type journal struct {
	verdict *verdict
	keep    io.Writer // gets a copy

	mu    sync.Mutex
	rest  []byte // of a line whose end has not come
	dumps bool   // a process that hangs on purpose writes its goroutines
	state journalState
}

// journalState is a moment of the journal.
type journalState struct {
	history   []generation   // by number
	planned   map[int]string // how a process fails on purpose, by its pid; until the upgrade has
	onPurpose []int          // pids of all of those
	failed    map[string]int // upgrades that have failed on purpose, by how
	refused   int            // upgrades asked of a generation that had handed over
	outcome   time.Time      // when something last came of a signal
	samples   []sample       // in their order
}

func newJournal(v *verdict, keep io.Writer) *journal {
	return &journal{verdict: v, keep: keep, state: journalState{planned: map[int]string{}, failed: map[string]int{}}}
}

// Write takes note of what the servers have written.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, _ = j.keep.Write(b)
	j.rest = append(j.rest, b...)
	for {
		line, rest, whole := bytes.Cut(j.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		j.rest = rest
		j.note(line)
	}
}

func (j *journal) note(line []byte) {
	var e entry
	if err := json.Unmarshal(line, &e); err != nil {
		if !j.isDump(line) {
			j.verdict.fail(checkLog, "not a log line: %s", line)
		}
		return
	}
	s := &j.state
	switch e.Msg { // that of the server, and of core as far as a soak waits for it or counts it
	case own.MsgOnPurpose:
		s.planned[e.PID] = e.How
		s.onPurpose = append(s.onPurpose, e.PID)
	case own.MsgCensus:
		s.samples = append(s.samples, sample{e.Census, e.Generation})
	case "current":
		g := s.generation(e.Generation)
		g.pid, g.current, g.addresses = e.PID, e.Time, e.Addresses
	case "upgraded":
		g := s.generation(e.Generation)
		g.handed, g.took, s.outcome = e.Time, time.Duration(e.Took), e.Time
	case "generation ended":
		g := s.generation(e.Generation)
		g.ended, g.ledger = e.Time, e.Ledger
	case "upgrade refused":
		s.refused++
		s.outcome = e.Time
	case "upgrade failed; this process serves on":
		s.outcome = e.Time
		if how, ok := s.planned[e.culprit()]; ok {
			s.failed[how]++
			delete(s.planned, e.culprit())
			j.dumps = j.dumps && how != own.FailHang
			return
		}
		j.verdict.fail(checkUpgrades, "one has failed that should not: %s", line)
	default:
		if e.Level > slog.LevelInfo {
			j.verdict.fail(checkLog, "%s", line)
		}
	}
}

// isDump reports whether a line is of the goroutines of a process that hangs on purpose. Such a process gets SIGABRT,
// and what it writes comes before the log line of the failed upgrade.
func (j *journal) isDump(line []byte) bool {
	if string(line) == "SIGABRT: abort" && slices.Contains(slices.Collect(maps.Values(j.state.planned)), own.FailHang) {
		j.dumps = true
	}
	return j.dumps
}

// generation returns the n-th, which the log names for the first time perhaps.
func (s *journalState) generation(n int) *generation {
	s.history = append(s.history, make([]generation, max(n+1-len(s.history), 0))...)
	return &s.history[n]
}

// newest returns the number of the current generation, and -1 before there is one.
func (s *journalState) newest() int {
	n := len(s.history) - 1
	for n >= 0 && s.history[n].current.IsZero() {
		n--
	}
	return n
}

// failures counts the upgrades that have failed on purpose.
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
	return &s // the other slices only grow
}

// says reports whether the log says what is wanted.
func (j *journal) says(wanted func(*journalState) bool) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return wanted(&j.state)
}

// newestIs waits for the n-th generation, or a later one, to be current.
func newestIs(n int) func(*journalState) bool {
	return func(s *journalState) bool { return s.newest() >= n }
}

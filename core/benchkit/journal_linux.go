package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// generation is one process of a service, as its log tells. A moment that has not come is zero.
type generation struct {
	pid      int
	address  string    // of its first listener
	current  time.Time // since when it serves
	draining time.Time // since when it drains
	ended    time.Time
}

// journal is what the processes of a service log. They write to it.
type journal struct {
	complaints io.Writer // gets each line that is a warning, or none of the log's

	mu          sync.Mutex
	rest        []byte // of a line whose end has not come
	generations []generation
	changed     chan struct{} // closed with the next line
}

func newJournal(complaints io.Writer) *journal {
	return &journal{complaints: complaints, changed: make(chan struct{})}
}

// Write takes note of what the processes have written.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rest = append(j.rest, b...)
	for {
		line, rest, whole := bytes.Cut(j.rest, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		j.rest = rest
		j.noteLocked(line)
		close(j.changed)
		j.changed = make(chan struct{})
	}
}

func (j *journal) noteLocked(line []byte) {
	var e struct {
		Time       time.Time
		Level      slog.Level
		Msg        string
		Generation int
		PID        int `json:"own_pid"`
		Addresses  []string
	}
	if err := json.Unmarshal(line, &e); err != nil || e.Level > slog.LevelInfo {
		fmt.Fprintf(j.complaints, "the server says: %s\n", line)
		return
	}
	switch e.Msg {
	case "current":
		g := j.generationLocked(e.Generation)
		g.pid, g.current = e.PID, e.Time
		if len(e.Addresses) > 0 {
			g.address = e.Addresses[0]
		}
	case "draining":
		j.generationLocked(e.Generation).draining = e.Time
	case "generation ended":
		j.generationLocked(e.Generation).ended = e.Time
	}
}

// generationLocked returns the n-th. The log of one process can name it before that of the one before.
func (j *journal) generationLocked(n int) *generation {
	j.generations = append(j.generations, make([]generation, max(n+1-len(j.generations), 0))...)
	return &j.generations[n]
}

// look returns what is known of the n-th generation, and a channel that is closed when there is more to know.
func (j *journal) look(n int) (generation, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return *j.generationLocked(n), j.changed
}

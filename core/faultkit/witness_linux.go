package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// witness is the clients of a storm, and what they have seen.
type witness struct {
	loads []*load.Run

	mu       sync.Mutex
	killed   map[tcpConn]time.Time // connections that a killed process had, and when
	died     int                   // requests on those
	left     int                   // requests in a pipeline behind an answer with "Connection: close"
	lost     []error
	crossed  []error // an answer was another request's
	requests int
}

// startWitness sets clients of every kind going; few is for a test.
func startWitness(t *target, few bool) *witness {
	w := &witness{killed: map[tcpConn]time.Time{}}
	each := 3
	if few {
		each = 1
	}
	start := func(name string, cfg load.Config) {
		cfg.Addr, cfg.Timeout = t.addr, requestTime
		cfg.Observe = func(s load.Sample) { w.observe(name, s) }
		w.loads = append(w.loads, load.Start(cfg))
	}
	for _, kind := range load.Kinds() {
		cfg := kind.Config
		cfg.Clients, cfg.Fresh, cfg.Think = each, 1, thinking
		start(kind.Name, cfg)
	}
	for _, kind := range pipelined {
		cfg := kind.Config
		cfg.Clients, cfg.Pipeline, cfg.Think = each, 6, connecting
		start("pipelined "+kind.Name, cfg)
	}
	start("slow head", load.Config{Clients: 2 * each, HeadPause: 8 * time.Millisecond, Think: thinking})
	start("300 kB", load.Config{Clients: 2 * each, BodySize: 300_000, Think: connecting})
	start("think 60 ms", load.Config{Clients: 4 * each, Think: idling})
	start("think 2 s", load.Config{Clients: each, Method: http.MethodGet, NoBody: true, Think: 2 * time.Second})
	return w
}

func (w *witness) observe(kind string, s load.Sample) {
	conn := connOf(s)
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, ok := w.killed[conn]; ok && s.Dialed && s.Start.After(at) {
		delete(w.killed, conn) // another connection with the same ends
	}
	if s.Err == nil {
		return
	}
	var failed *load.RequestError
	errors.As(s.Err, &failed) // as load.Sample says
	reason := failed.Reason
	_, died := w.killed[conn]
	switch {
	case reason == load.WrongBody || reason == load.WrongTag || reason == load.Surplus:
		w.crossed = append(w.crossed, fmt.Errorf("%s: %w", kind, s.Err))
	case died:
		w.died++
	case reason == load.Left: // a new process that is rolled back asks its clients to leave
		w.left++
	default:
		w.lost = append(w.lost, fmt.Errorf("%s, %s: %w", time.Now().Format(clock), kind, s.Err))
	}
}

// excuse names connections of a process that is about to be killed.
func (w *witness) excuse(conns map[tcpConn]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range conns {
		w.killed[c] = time.Now()
	}
}

// flowing reports whether every kind of client has had an answer.
func (w *witness) flowing() bool {
	return !slices.ContainsFunc(w.loads, func(run *load.Run) bool {
		r := run.Snapshot()
		return r.Requests == r.Failed
	})
}

// stop lets the clients end, and counts.
func (w *witness) stop() {
	stopAll(w.loads)
	for _, run := range w.loads {
		w.requests += run.Stop().Requests
	}
}

func (w *witness) String() string {
	return fmt.Sprintf("%d requests: %d lost, %d crossed, %d died with a killed process, %d pipelined behind a connection's last",
		w.requests, len(w.lost), len(w.crossed), w.died, w.left)
}

// judge says what has not held.
func (w *witness) judge(v *verdict, name string, ran *runs) {
	for _, err := range w.lost {
		v.fail(checkRequests, "%s: %v", name, err)
	}
	for _, err := range w.crossed {
		v.fail(checkCrossed, "%s: %v", name, err)
	}
	for _, tag := range ran.twice {
		v.fail(checkTwice, "%s: %s", name, tag)
	}
	if good := w.requests - len(w.lost) - len(w.crossed) - w.died - w.left; ran.total < good {
		v.fail(checkTwice, "%s: %d answers, and the handler ran %d times", name, good, ran.total)
	}
}

// runs is what the server has noted of its handler.
type runs struct {
	total     int
	processes map[string]int
	twice     []string // tags of requests that it ran for more than once
}

func readRuns(path string) (*runs, error) {
	r := &runs{processes: map[string]int{}}
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	seen := map[string]bool{}
	in := bufio.NewScanner(f)
	for in.Scan() {
		pid, tag, whole := strings.Cut(in.Text(), " ")
		if !whole {
			return r, fmt.Errorf("%s: %q", path, in.Text())
		}
		r.total++
		r.processes[pid]++
		if seen[tag] {
			r.twice = append(r.twice, tag)
		}
		seen[tag] = true
	}
	return r, in.Err()
}

// held is what a process has that could grow from one generation to the next.
type held struct{ descriptors, environment, arguments int }

func heldBy(pid int) (h held) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	files, _ := os.ReadDir(filepath.Join(dir, "fd"))
	environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
	cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
	own, _ := connsOf(pid)
	return held{len(files) - len(own), len(environ), len(cmdline)}
}

// What a generation may have more than the first one: the control channel and what connections come and go, the
// variables of an upgrade, and the flag.
const (
	moreDescriptors = 16
	moreEnvironment = 256
	moreArguments   = 16
)

// compare finds what has grown since the first generation.
func (h held) compare(last held, v *verdict, name string) {
	if last.descriptors > h.descriptors+moreDescriptors {
		v.fail(checkDescriptors, "%s: %d at first, %d in the end", name, h.descriptors, last.descriptors)
	}
	if last.environment > h.environment+moreEnvironment || last.arguments > h.arguments+moreArguments {
		v.fail(checkMemory, "%s: environment and arguments of %d and %d bytes at first, %d and %d in the end",
			name, h.environment, h.arguments, last.environment, last.arguments)
	}
}

// startOf is when a process began, in ticks since the start of the system (proc_pid_stat(5), starttime). It is 0 for
// one that has ended.
func startOf(pid int) (ticks int64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) > 19 {
		_, _ = fmt.Sscan(f[19], &ticks)
	}
	return ticks
}

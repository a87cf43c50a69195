package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/internal/load"
)

const (
	// requestTime is longer than the longest stop, with all that follows.
	requestTime = 40 * time.Second
	// How long clients pause: there is to be load, and time for the processes. Those
	// that connect anew leave a socket behind for each time, which /proc lists. Some
	// have connections that are mostly idle, of which a share moves in a probation.
	thinking   = 2 * time.Millisecond
	connecting = 15 * time.Millisecond
	idling     = 60 * time.Millisecond
	// uploadPause and headPause make requests that take half a second.
	uploadPause = 70 * time.Millisecond
	headPause   = 500 * time.Millisecond
)

// traffic is the load on one program while one fault is tried, by clients that repeat nothing.
type traffic struct {
	runs []*load.Run

	mu     sync.Mutex
	failed []failure
	died   map[tcpConn]time.Time // connections that a killed process had, and when that was known
}

// failure is a request that has failed, by a client of one of the runs.
type failure struct {
	run int
	load.Sample
}

// counts is what became of the requests.
type counts struct {
	requests int
	died     int // of those that failed, on connections of a killed process
	left     int // messages that were on the way when a WebSocket's server said that it leaves
	lost     []error
}

// startTraffic sets clients going. Those of the kit's own server post besides, and check that each
// answer is their own. They speak HTTP/2 and by WebSocket, too, and if it is to be secure all of it over TLS.
func startTraffic(t *target, isOwn, secure bool) *traffic {
	tr := &traffic{died: map[tcpConn]time.Time{}}
	at := *t
	start := func(cfg load.Config) {
		cfg.Addr, cfg.TLS = at.addr, at.tls
		cfg.Path = cmp.Or(cfg.Path, t.path)
		cfg.Timeout = requestTime
		run := len(tr.runs)
		cfg.Observe = func(s load.Sample) {
			if s.Err != nil {
				tr.mu.Lock()
				defer tr.mu.Unlock()
				tr.failed = append(tr.failed, failure{run, s})
			}
		}
		tr.runs = append(tr.runs, load.Start(cfg))
	}
	for _, cfg := range []load.Config{
		{Clients: 2, Think: thinking},
		{Fresh: 3, Think: connecting},
		{Clients: 10, Think: idling},
		{Clients: 1, Fresh: 1, BodyPause: uploadPause},
	} {
		if isOwn {
			start(cfg)
		}
		if cfg.BodyPause > 0 {
			cfg.HeadPause = headPause // it has no body
		}
		cfg.Any, cfg.Method = true, http.MethodGet
		start(cfg)
	}
	if isOwn {
		start(load.Config{HTTP2: true, Clients: 2, Streams: 3, Chunked: true, Think: connecting})
		start(load.Config{HTTP2: true, Clients: 4, Think: idling})
		start(load.Config{WebSocket: true, Clients: 4, Pipeline: 3, Think: idling, Path: own.WebSocket})
	}
	if isOwn && secure {
		at = t.secure()
		start(load.Config{Clients: 8, Chunked: true, Think: idling})
		start(load.Config{HTTP2: true, Clients: 3, Streams: 3, Chunked: true, Think: idling})
		start(load.Config{WebSocket: true, Clients: 2, Pipeline: 3, Think: idling, Path: own.WebSocket})
	}
	return tr
}

// excuse names connections that a process had which was killed.
func (tr *traffic) excuse(conns map[tcpConn]bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for c := range conns {
		tr.died[c] = time.Now()
	}
}

// flowing reports whether every kind of client has had an answer.
func (tr *traffic) flowing() bool {
	for _, run := range tr.runs {
		if r := run.Snapshot(); r.Requests == r.Failed {
			return false
		}
	}
	return true
}

// stop lets the clients end and counts.
func (tr *traffic) stop() (c counts) {
	stopAll(tr.runs)
	for _, run := range tr.runs {
		c.requests += run.Stop().Requests
	}
	tr.judge(&c)
	return c
}

// judge says of each failed request what it is.
func (tr *traffic) judge(c *counts) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	type who struct{ run, client int }
	first := map[tcpConn]who{} // whose connection it was: HTTP/2 and WebSockets have several requests on one
	for _, f := range tr.failed {
		conn, by := connOf(f.Sample), who{f.run, f.Client}
		at, died := tr.died[conn]
		if was, known := first[conn]; died && (!known || was == by) && (!f.Dialed || f.Start.Before(at)) {
			first[conn] = by
			c.died++
			continue // a later connection has the same ends
		}
		if failed := (*load.RequestError)(nil); errors.As(f.Err, &failed) && failed.Reason == load.Left {
			c.left++
			continue
		}
		c.lost = append(c.lost, f.Err)
	}
}

// stopAll lets all clients finish what they have begun.
func stopAll(runs []*load.Run) {
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() { run.Stop() })
	}
	wg.Wait()
}

// rule is what holds for the connections of clients.
type rule int

const (
	keeps   rule = iota // one for each client, whatever happens
	leaves              // another only when a generation hands over
	changes             // one for each request
)

// member is clients of one kind.
type member struct {
	row     string // of the summary; several have the same
	rule    rule
	clients int
	run     *load.Run
}

// mix is the clients of a soak.
type mix struct {
	verdict             *verdict
	plain, unix, secure load.Config // where the server listens
	members             []member

	mu      sync.Mutex
	returns []comeback
}

// comeback is a connection that a client which keeps its own has opened to the
// generation that had just told it to close one.
type comeback struct {
	row        string
	client     int
	generation int
	at         time.Time
}

// add sets clients going. Each request takes the server as long as takes says.
func (m *mix) add(row string, at load.Config, r rule, clients int, kind load.Kind, think, takes time.Duration) {
	cfg := kind.Config
	cfg.Addr, cfg.Network, cfg.TLS, cfg.Think = at.Addr, at.Network, at.TLS, think
	cfg.Timeout = 2 * load.DefaultTimeout
	if r == changes {
		cfg.Fresh = clients
	} else {
		cfg.Clients = clients
	}
	if takes > 0 {
		path, query, _ := strings.Cut(cfg.Path, "?")
		cfg.Path = cmp.Or(path, "/") + "?d=" + takes.String() + "&" + query
	}
	cfg.Observe = m.observer(row+", "+kind.Name, r, clients)
	m.members = append(m.members, member{row, r, clients, load.Start(cfg)})
}

// The kinds that do not wait for an answer before the next request.
var (
	pipelined = []load.Kind{
		{Name: "post", Config: load.Config{Pipeline: 32, BodySize: 8 << 10}},
		{Name: "chunked", Config: load.Config{Pipeline: 32, BodySize: 2 << 10, Chunked: true}},
		{Name: "get", Config: load.Config{Pipeline: 32, Method: http.MethodGet, NoBody: true}},
	}
	hijacked = load.Kind{Name: "echo", Config: load.Config{Echo: true, Path: "/echo", Pipeline: 16, BodySize: 8 << 10}}
)

// fill sets everybody going; few are enough for a test. Over TLS nobody is idle for long: such a connection does not
// move and is closed at the end of the drain, and HTTP has no way to do that without the risk of losing a request.
func (m *mix) fill(few bool) {
	const ms = time.Millisecond
	each, idle := 2, 24
	if few {
		each, idle = 1, 4
	}
	post := load.Kinds()[0]
	for i, kind := range load.Kinds() {
		each := each
		if kind.Config.BodySize > 0 {
			each = 1 // it takes as much as a hundred others
		}
		if !few || i%3 == 0 {
			m.add("as fast as it answers", m.plain, keeps, 1, kind, 0, 0)
		}
		m.add("think 5 ms", m.plain, keeps, each, kind, 5*ms, 0)
		m.add("think 100 ms", m.plain, keeps, each, kind, 100*ms, 0)
		m.add("think 1 s", m.plain, keeps, each, kind, time.Second, 0)
		m.add("new connections", m.plain, changes, 1, kind, 20*ms, 0)
		m.add("unix socket", m.unix, keeps, 1, kind, 10*ms, 0)
		m.add("unix socket, new connections", m.unix, changes, 1, kind, 50*ms, 0)
		m.add("TLS", m.secure, leaves, each, kind, 20*ms, 0)
		if !few {
			m.add("requests of 2 s", m.plain, keeps, 1, kind, 7*time.Second, 2*time.Second)
		}
	}
	m.add("TLS, think 1 s", m.secure, leaves, each, post, time.Second, 0)
	m.add("TLS, new connections", m.secure, changes, each, post, 50*ms, 0)
	m.add("requests of 0.3 s", m.plain, keeps, each, post, 50*ms, 300*ms)
	if !few {
		m.add("requests of 5 s", m.plain, keeps, 2, post, 21*time.Second, 5*time.Second)
		m.add("TLS, requests of 1 s", m.secure, leaves, 2, post, time.Second, time.Second)
	}
	m.add("idle for 7 s", m.plain, keeps, idle, post, 7*time.Second, 0)
	m.add("idle for 31 s", m.plain, keeps, idle, post, 31*time.Second, 0)
	m.add("unix socket, idle for 13 s", m.unix, keeps, idle, post, 13*time.Second, 0)
	for _, kind := range pipelined {
		m.add("pipelining", m.plain, keeps, each, kind, 30*ms, 0)
		m.add("unix socket, pipelining", m.unix, keeps, 1, kind, 30*ms, 0)
		m.add("pipelining, requests of 20 ms", m.plain, keeps, 1, kind, 2*time.Second, 20*ms)
	}
	m.add("hijacked", m.plain, keeps, 3*each, hijacked, 30*ms, 0)
	m.add("hijacked, idle", m.plain, keeps, each, hijacked, 2*time.Second, 0)
	m.add("unix socket, hijacked", m.unix, keeps, each, hijacked, 30*ms, 0)
}

// observer looks at each request of a member's clients. Each client's entry in last is touched by that client only.
func (m *mix) observer(row string, r rule, clients int) func(load.Sample) {
	last := make([]int, clients) // the generation that answered before, and one more; 0 before the first
	return func(s load.Sample) {
		if s.Err != nil {
			m.verdict.fail(checkRequests, "%s: %v (took %v, server %v)", row, s.Err, s.Latency, s.Server)
			return
		}
		if s.Server == (load.Server{}) && strings.HasSuffix(row, hijacked.Name) {
			return
		}
		n, err := strconv.Atoi(s.Server.Generation)
		if err != nil {
			m.verdict.fail(checkRequests, "%s: client %d: the answer names no generation", row, s.Client)
			return
		}
		n++
		switch before := last[s.Client]; {
		case n < before:
			m.verdict.fail(checkOrder, "%s: client %d: generation %d answers after %d", row, s.Client, n-1, before-1)
		case r == leaves && s.Dialed && n == before:
			m.mu.Lock()
			m.returns = append(m.returns, comeback{row, s.Client, n - 1, s.Start})
			m.mu.Unlock()
		}
		last[s.Client] = n
	}
}

// sum is what clients have counted so far, those for which of is true, and how many they are.
func (m *mix) sum(of func(member) bool) (clients int, sum load.Result) {
	for _, one := range m.members {
		if of(one) {
			clients += one.clients
			sum.Merge(one.run.Snapshot())
		}
	}
	return clients, sum
}

// all is what all clients have counted so far.
func (m *mix) all() load.Result {
	_, sum := m.sum(func(member) bool { return true })
	return sum
}

// reconnects is how often clients with this rule had to open another connection.
func (m *mix) reconnects(r rule) int {
	_, sum := m.sum(func(one member) bool { return one.rule == r })
	return sum.Reconnects
}

// stop lets all clients finish what they have begun.
func (m *mix) stop() {
	var runs []*load.Run
	for _, one := range m.members {
		runs = append(runs, one.run)
	}
	stopAll(runs)
	for _, one := range m.members {
		if res := one.run.Stop(); one.rule == keeps && res.Connects != one.clients {
			m.verdict.fail(checkConnections, "%s: %d clients have used %d connections", one.row, one.clients, res.Connects)
		}
	}
}

// table has a row for each way to ask.
func (m *mix) table() string {
	b := "| clients | | requests | lost | connections | p50 | p99 | slowest |\n|---|---|---|---|---|---|---|---|\n"
	for i, row := range m.members {
		same := func(one member) bool { return one.row == row.row }
		if slices.ContainsFunc(m.members[:i], same) {
			continue
		}
		clients, r := m.sum(same)
		b += fmt.Sprintf("| %s | %d | %d | %d | %d | %v | %v | %v |\n", row.row, clients, r.Requests, r.Failed, r.Connects,
			short(r.Latency.Quantile(0.5)), short(r.Latency.Quantile(0.99)), short(r.Latency.Max()))
	}
	return b
}

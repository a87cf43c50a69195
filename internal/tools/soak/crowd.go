package main

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// runner is a number of clients at work.
type runner interface {
	Snapshot() load.Result
	Stop() load.Result
}

// rule is what holds for the connections of a runner's clients.
type rule int

const (
	keeps   rule = iota // one for each client, whatever happens
	leaves              // another only when a generation hands over
	changes             // one for each request
)

// member is a runner of the crowd.
type member struct {
	row     string // of the summary; several have the same
	rule    rule
	clients int
	run     runner
}

// quick is fast enough for nobody to look at it.
const quick = 50 * time.Millisecond

// crowd is all clients.
type crowd struct {
	verdict *verdict
	plain   load.Config // where the server listens, without TLS
	unix    load.Config
	secure  load.Config
	members []member

	mu      sync.Mutex
	returns []comeback
	slowest slow
}

// slow is a request that took longer than others, beyond the time that it asked for.
type slow struct {
	row    string
	excess time.Duration
	sample load.Sample
}

func (s slow) String() string {
	return fmt.Sprintf("%v longer than it should, at %s, by generation %s: %s",
		short(s.excess), s.sample.Start.Format("15:04:05.000"), s.sample.Server.Generation, s.row)
}

// comeback is a connection that a client which keeps its own has opened to the
// generation that had just told it to close one.
type comeback struct {
	row        string
	client     int
	generation int
	at         time.Time
}

func newCrowd(addresses []string, unix string, tls *tls.Config, v *verdict) *crowd {
	return &crowd{
		verdict: v,
		plain:   load.Config{Addr: addresses[0]},
		secure:  load.Config{Addr: addresses[1], TLS: tls},
		unix:    load.Config{Addr: unix, Network: "unix"},
	}
}

// add sets clients of package load going.
func (c *crowd) add(row string, at load.Config, r rule, clients int, kind load.Kind, think time.Duration, takes string) {
	cfg := kind.Config
	cfg.Addr, cfg.Network, cfg.TLS, cfg.Think = at.Addr, at.Network, at.TLS, think
	cfg.Timeout = 2 * load.DefaultTimeout
	if r == changes {
		cfg.Fresh = clients
	} else {
		cfg.Clients = clients
	}
	if takes != "" {
		sep := "?"
		if strings.Contains(cfg.Path, "?") {
			sep = "&"
		}
		cfg.Path = "/" + strings.TrimPrefix(cfg.Path, "/") + sep + "d=" + takes
	}
	asked, _ := time.ParseDuration(takes)
	cfg.Observe = c.observer(row+", "+kind.Name, r, clients, asked+7*kind.Config.BodyPause)
	c.join(row, r, clients, load.Start(cfg))
}

func (c *crowd) join(row string, r rule, clients int, run runner) {
	c.members = append(c.members, member{row, r, clients, run})
}

// fill sets everybody going. Over TLS nobody is idle for long: such a connection
// does not move and is closed at the end of the drain, and HTTP has no way to do
// that without the risk of losing a request.
func (c *crowd) fill(o *options) {
	each, idle := 2, 24
	if o.few {
		each, idle = 1, 4
	}
	post := load.Kinds()[0]
	for i, kind := range load.Kinds() {
		each := each
		if kind.Config.BodySize > 0 {
			each = 1 // it takes as much as a hundred others
		}
		if !o.few || i%3 == 0 {
			c.add("as fast as it answers", c.plain, keeps, 1, kind, 0, "")
		}
		c.add("think 5 ms", c.plain, keeps, each, kind, 5*time.Millisecond, "")
		c.add("think 100 ms", c.plain, keeps, each, kind, 100*time.Millisecond, "")
		c.add("think 1 s", c.plain, keeps, each, kind, time.Second, "")
		c.add("new connections", c.plain, changes, 1, kind, 20*time.Millisecond, "")
		c.add("unix socket", c.unix, keeps, 1, kind, 10*time.Millisecond, "")
		c.add("unix socket, new connections", c.unix, changes, 1, kind, 50*time.Millisecond, "")
		c.add("TLS", c.secure, leaves, each, kind, 20*time.Millisecond, "")
	}
	c.add("TLS, think 1 s", c.secure, leaves, each, post, time.Second, "")
	c.add("TLS, new connections", c.secure, changes, each, post, 50*time.Millisecond, "")
	c.add("requests of 0.3 s", c.plain, keeps, each, post, 50*time.Millisecond, "300ms")
	if !o.few {
		for _, kind := range load.Kinds() {
			c.add("requests of 2 s", c.plain, keeps, 1, kind, 7*time.Second, "2s")
		}
		c.add("requests of 5 s", c.plain, keeps, 2, post, 21*time.Second, "5s")
		c.add("TLS, requests of 1 s", c.secure, leaves, 2, post, time.Second, "1s")
	}
	c.add("idle for 7 s", c.plain, keeps, idle, post, 7*time.Second, "")
	c.add("idle for 31 s", c.plain, keeps, idle, post, 31*time.Second, "")
	c.add("unix socket, idle for 13 s", c.unix, keeps, idle, post, 13*time.Second, "")
	c.join("pipelining", keeps, 2*each, startOwn(c.plain, 2*each, newTally("pipelining", c.verdict), o, streamPipeline, pipeline))
	c.join("unix socket, pipelining", keeps, each,
		startOwn(c.unix, each, newTally("unix socket, pipelining", c.verdict), o, streamPipeline+1<<10, pipeline))
	c.join("hijacked", keeps, 4*each, startOwn(c.plain, 4*each, newTally("hijacked", c.verdict), o, streamEcho, stream))
	c.join("unix socket, hijacked", keeps, each,
		startOwn(c.unix, each, newTally("unix socket, hijacked", c.verdict), o, streamEcho+1<<10, stream))
}

// observer looks at each request of a runner's clients. Each client's entry in
// last is touched by that client only.
func (c *crowd) observer(row string, r rule, clients int, asked time.Duration) func(load.Sample) {
	last := make([]int, clients) // the generation that answered before, and one more; 0 before the first
	return func(s load.Sample) {
		if s.Err != nil {
			c.verdict.fail(checkRequests, "%s: %v (took %v, server %v)", row, s.Err, s.Latency, s.Server)
			return
		}
		n, err := strconv.Atoi(s.Server.Generation)
		if err != nil {
			c.verdict.fail(checkRequests, "%s: client %d: the answer names no generation", row, s.Client)
			return
		}
		n++
		switch before := last[s.Client]; {
		case n < before:
			c.verdict.fail(checkOrder, "%s: client %d: generation %d answers after %d", row, s.Client, n-1, before-1)
		case r == leaves && s.Dialed && n == before:
			c.mu.Lock()
			c.returns = append(c.returns, comeback{row, s.Client, n - 1, s.Start})
			c.mu.Unlock()
		}
		last[s.Client] = n
		if excess := s.Latency - asked; excess > quick {
			c.mu.Lock()
			defer c.mu.Unlock()
			if excess > c.slowest.excess {
				c.slowest = slow{row, excess, s}
			}
		}
	}
}

// snapshot is what all clients have counted so far.
func (c *crowd) snapshot() (sum load.Result) {
	for _, m := range c.members {
		sum = merge(sum, m.run.Snapshot())
	}
	return sum
}

// reconnects is how often clients with this rule had to open another connection.
func (c *crowd) reconnects(r rule) (n int) {
	for _, m := range c.members {
		if m.rule == r {
			n += m.run.Snapshot().Reconnects
		}
	}
	return n
}

// stop lets all clients finish what they have begun.
func (c *crowd) stop() {
	var wg sync.WaitGroup
	for _, m := range c.members {
		wg.Go(func() { m.run.Stop() })
	}
	wg.Wait()
	for _, m := range c.members {
		if res := m.run.Stop(); m.rule == keeps && res.Connects != m.clients {
			c.verdict.fail(checkConnections, "%s: %d clients have used %d connections", m.row, m.clients, res.Connects)
		}
	}
}

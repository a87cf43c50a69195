package load

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Result is what the clients of a run have counted.
type Result struct {
	Elapsed    time.Duration  // since Start, up to Stop
	Requests   int            // ended, the failed ones included
	Failed     int            // not answered with the expected status and the request's own body or tag
	Reasons    map[Reason]int // the failed by reason
	Errors     []error        // the first few failures in full, each a *RequestError
	Connects   int            // connections established
	Reconnects int            // of those, by clients that keep theirs and had to open another
	Served     map[Server]int // requests answered well, by the process that answered
	Latency    Histogram      // of the requests answered well, a dial they needed included
}

// Merge adds what another run has counted, but for what only one run can say: its time and its failures in full.
func (r *Result) Merge(other Result) {
	r.Requests += other.Requests
	r.Failed += other.Failed
	r.Connects += other.Connects
	r.Reconnects += other.Reconnects
	r.Latency.Merge(other.Latency)
	if r.Served == nil {
		r.Served = map[Server]int{}
	}
	for server, n := range other.Served {
		r.Served[server] += n
	}
}

// String is one line for a log or a test's failure, and a line for each error that was kept.
func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d failed, %d connections, %d reconnects, %d servers in %v, ",
		r.Requests, r.Failed, r.Connects, r.Reconnects, len(r.Served), r.Elapsed.Round(time.Millisecond))
	fmt.Fprintf(&b, "latency p50 %v p99 %v max %v", r.Latency.Quantile(0.5), r.Latency.Quantile(0.99), r.Latency.Max())
	mostFirst := func(a, b Reason) int { return cmp.Or(cmp.Compare(r.Reasons[b], r.Reasons[a]), cmp.Compare(a, b)) }
	for _, reason := range slices.SortedFunc(maps.Keys(r.Reasons), mostFirst) {
		fmt.Fprintf(&b, "; %d %s", r.Reasons[reason], reason)
	}
	for _, err := range r.Errors {
		fmt.Fprintf(&b, "\n\t%v", err)
	}
	return b.String()
}

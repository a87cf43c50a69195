package core_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

const (
	benchConns = 16
	benchRound = 4000 // requests a round
)

// BenchmarkAgainstNetHTTP serves the same handler by gracex and by net/http alone
// and asks them in turn, a round each, so that a machine that gets slower or
// faster does so for both. It prints the medians of both, the median of the
// ratios round by round, and the allocations a request costs on the server.
//
//	go test -run '^$' -bench AgainstNetHTTP -benchtime 60x ./core
func BenchmarkAgainstNetHTTP(b *testing.B) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })

	ours := newAskers(b, serveInProcess(b, handler), benchConns)
	defer ours.close()
	theirs := newAskers(b, serveBare(b, handler), benchConns)
	defer theirs.close()
	ours.round(b)
	theirs.round(b)
	m := measures{}
	b.ResetTimer()
	for i := range b.N {
		var rate, allocs, bareRate, bareAllocs float64
		if i%2 == 0 { // neither always comes first
			rate, allocs = ours.round(b)
			bareRate, bareAllocs = theirs.round(b)
		} else {
			bareRate, bareAllocs = theirs.round(b)
			rate, allocs = ours.round(b)
		}
		m.add("req/s", rate)
		m.add("bare-req/s", bareRate)
		m.add("ratio", rate/bareRate)
		m.add("allocs/req", allocs)
		m.add("bare-allocs/req", bareAllocs)
	}
	b.StopTimer()
	m.report(b)
}

// measures are what a benchmark has measured, by unit.
type measures map[string][]float64

func (m measures) add(unit string, v float64) { m[unit] = append(m[unit], v) }

// report prints the medians.
func (m measures) report(b *testing.B) {
	for unit, v := range m {
		slices.Sort(v)
		b.ReportMetric(v[len(v)/2], unit)
	}
}

// serveInProcess serves by gracex until the benchmark ends.
func serveInProcess(b *testing.B, handler http.Handler) string {
	b.Helper()
	u := core.NewTest(b)
	ln, err := u.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	must(b, u.Attach(&http.Server{Handler: handler}, ln))
	must(b, u.Ready())
	return ln.Addr().String()
}

// serveBare serves by net/http alone.
func serveBare(b *testing.B, handler http.Handler) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(ln) }()
	b.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String()
}

// askers are kept connections whose client side allocates nothing.
type askers []net.Conn

func newAskers(b *testing.B, addr string, n int) askers {
	b.Helper()
	a := make(askers, n)
	for i := range a {
		c, err := net.Dial("tcp", addr)
		must(b, err)
		a[i] = c
	}
	return a
}

func (a askers) close() {
	for _, c := range a {
		_ = c.Close()
	}
}

var (
	benchRequest = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
	benchEnd     = []byte("hello")
)

// round asks benchRound times over all connections. It returns the requests a second, and the allocations a request.
func (a askers) round(b *testing.B) (rate, allocs float64) {
	b.Helper()
	var before, after runtime.MemStats
	var wg sync.WaitGroup
	runtime.ReadMemStats(&before)
	began := time.Now()
	for _, c := range a {
		wg.Go(func() {
			buf := make([]byte, 512)
			for range benchRound / len(a) {
				if _, err := c.Write(benchRequest); err != nil {
					b.Error(err)
					return
				}
				for n := 0; !bytes.HasSuffix(buf[:n], benchEnd); {
					m, err := c.Read(buf[n:])
					if err != nil {
						b.Error(err)
						return
					}
					n += m
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	return benchRound / took.Seconds(), float64(after.Mallocs-before.Mallocs) / benchRound
}

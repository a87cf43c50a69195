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

	ours, theirs := newAskers(b, serveInProcess(b, handler)), newAskers(b, serveBare(b, handler))
	defer ours.close()
	defer theirs.close()
	ours.round(b)
	theirs.round(b)
	var rate, bareRate, ratio, allocs, bareAllocs []float64
	b.ResetTimer()
	for i := range b.N {
		var o, t measure
		if i%2 == 0 { // neither always comes first
			o, t = ours.round(b), theirs.round(b)
		} else {
			t, o = theirs.round(b), ours.round(b)
		}
		rate, bareRate, ratio = append(rate, o.rate), append(bareRate, t.rate), append(ratio, o.rate/t.rate)
		allocs, bareAllocs = append(allocs, o.allocs), append(bareAllocs, t.allocs)
	}
	b.StopTimer()
	b.ReportMetric(median(rate), "req/s")
	b.ReportMetric(median(bareRate), "bare-req/s")
	b.ReportMetric(median(ratio), "ratio")
	b.ReportMetric(median(allocs), "allocs/req")
	b.ReportMetric(median(bareAllocs), "bare-allocs/req")
}

// serveInProcess serves by gracex until the benchmark ends.
func serveInProcess(b *testing.B, handler http.Handler) net.Addr {
	b.Helper()
	u := core.NewTest(b)
	ln, err := u.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	must(b, u.Attach(&http.Server{Handler: handler}, ln))
	must(b, u.Ready())
	return ln.Addr()
}

// serveBare serves by net/http alone.
func serveBare(b *testing.B, handler http.Handler) net.Addr {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(ln) }()
	b.Cleanup(func() { _ = srv.Close() })
	return ln.Addr()
}

type measure struct{ rate, allocs float64 }

// askers are kept connections whose client side allocates nothing.
type askers []net.Conn

func newAskers(b *testing.B, addr net.Addr) askers {
	b.Helper()
	var a askers
	for range benchConns {
		c, err := net.Dial("tcp", addr.String())
		must(b, err)
		a = append(a, c)
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

// round asks benchRound times over all connections.
func (a askers) round(b *testing.B) measure {
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
	return measure{benchRound / took.Seconds(), float64(after.Mallocs-before.Mallocs) / benchRound}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

//go:build unix

package core_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
)

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

// serveBoth serves by gracex and by net/http alone until the benchmark ends.
func serveBoth(b testing.TB, handler http.HandlerFunc) (ours, bare string) {
	b.Helper()
	u := core.NewTest(b)
	ln, err := u.Listen(b.Context(), "tcp", "127.0.0.1:0")
	must(b, err)
	must(b, u.Attach(&http.Server{Handler: handler}, ln))
	must(b, u.Ready())
	bareLn, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(bareLn) }()
	b.Cleanup(func() { _ = srv.Close() })
	return ln.Addr().String(), bareLn.Addr().String()
}

// askers are kept connections whose client side allocates nothing.
type askers []net.Conn

func newAskers(b testing.TB, addr string, n int) askers {
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

var benchRequest = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")

// ask asks n times on each connection. A goroutine takes a group of them, one after the other. An answer
// ends with end.
func (a askers) ask(b testing.TB, n, group int, end string) {
	b.Helper()
	var wg sync.WaitGroup
	for part := range slices.Chunk(a, group) {
		wg.Go(func() {
			buf, end := make([]byte, 512), []byte(end)
			for _, c := range part {
				for range n {
					if err := askOnce(c, buf, end); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func askOnce(c net.Conn, buf, end []byte) error {
	_, err := c.Write(benchRequest)
	for n := 0; err == nil && !bytes.HasSuffix(buf[:n], end); {
		var m int
		m, err = c.Read(buf[n:])
		n += m
	}
	return err
}

// BenchmarkAgainstNetHTTP serves the same handler by gracex and by net/http alone
// and asks them in turn, a round each, so that a machine that gets slower or
// faster does so for both. It prints the medians of both, the median of the
// ratios round by round, and the allocations a request costs on the server.
//
//	go test -run '^$' -bench AgainstNetHTTP -benchtime 60x ./core
func BenchmarkAgainstNetHTTP(b *testing.B) {
	const conns, round = 16, 4000 // requests a round
	addr, bare := serveBoth(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	sides := [2]askers{newAskers(b, addr, conns), newAskers(b, bare, conns)}
	defer sides[0].close()
	defer sides[1].close()
	ask := func(a askers) (rate, allocs float64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		a.ask(b, round/conns, 1, "hello")
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		return round / took.Seconds(), float64(after.Mallocs-before.Mallocs) / round
	}
	ask(sides[0])
	ask(sides[1])
	m := measures{}
	b.ResetTimer()
	for i := range b.N {
		var rate, allocs [2]float64
		for j := range 2 {
			side := (i + j) % 2 // neither always comes first
			rate[side], allocs[side] = ask(sides[side])
		}
		m.add("req/s", rate[0])
		m.add("bare-req/s", rate[1])
		m.add("ratio", rate[0]/rate[1])
		m.add("allocs/req", allocs[0])
		m.add("bare-allocs/req", allocs[1])
	}
	b.StopTimer()
	m.report(b)
}

// BenchmarkMove moves 10,000 idle connections from one process to the next. It prints
// the median of how long that takes: from the word that the new process is current to the
// end of the old one, by the log's clock.
//
//	go test -run '^$' -bench Move -benchtime 5x ./core
func BenchmarkMove(b *testing.B) {
	const conns = 10_000
	needsDescriptors(b, conns+1000)
	a, first := serving(b)
	open := newAskers(b, first.Addrs[0], conns)
	defer open.close()
	m := measures{}
	b.ResetTimer()
	for i := range b.N {
		open.once(b)
		a.next(a.expect("ready", i))
		old := a.expect("end", i)
		began, ended := logTime(a, old.PID, "msg=draining"), logTime(a, old.PID, `msg="generation ended"`)
		m.add("ms/10000conns", float64(ended.Sub(began).Milliseconds()))
	}
	b.StopTimer()
	open.once(b)
	if l := getJSON[core.Ledger](b, first.Addrs[0], "/stats"); l.Adopted != conns {
		b.Errorf("%d of %d connections were moved", l.Adopted, conns)
	}
	m.report(b)
	b.ReportMetric(0, "ns/op")
}

func needsDescriptors(b *testing.B, n uint64) {
	b.Helper()
	var lim syscall.Rlimit
	must(b, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim))
	if uint64(lim.Cur) < n { //nolint:unconvert // it is signed on FreeBSD
		b.Skipf("%d descriptors are the limit; ulimit -Hn allows more", lim.Cur)
	}
}

// once asks on each connection, whose answers have no body.
func (a askers) once(b *testing.B) {
	b.Helper()
	a.ask(b, 1, 100, "\r\n\r\n")
}

// logTime is when the process logged the message.
func logTime(a *app, pid int, msg string) (at time.Time) {
	a.t.Helper()
	line := regexp.MustCompile(`time=(\S+) level=INFO ` + regexp.QuoteMeta(msg) + ` generation=\d+ own_pid=` + itoa(pid))
	a.Await("a log line "+msg, func() bool {
		m := line.FindStringSubmatch(a.log())
		if m != nil {
			at, _ = time.Parse(time.RFC3339Nano, m[1])
		}
		return m != nil
	})
	return at
}

// BenchmarkMemory opens idle connections to a server of gracex's and one of net/http's
// in turn and prints what one more of them takes, heap and stacks together.
//
//	go test -run '^$' -bench Memory -benchtime 5x ./core
func BenchmarkMemory(b *testing.B) {
	addr, bare := serveBoth(b, func(http.ResponseWriter, *http.Request) {})
	m := measures{}
	for b.Loop() {
		ours, theirs := perConn(b, addr), perConn(b, bare)
		m.add("bytes/conn", ours)
		m.add("bare-bytes/conn", theirs)
		m.add("more-bytes/conn", ours-theirs)
	}
	m.report(b)
	b.ReportMetric(0, "ns/op")
}

func perConn(b *testing.B, addr string) (per float64) {
	b.Helper()
	const conns = 2000
	before := memory()
	open := newAskers(b, addr, conns)
	open.once(b)
	proctest.Await(b, "all wait for their next request", func() bool { // net/http says so after the answer
		last := per
		per = float64(memory()-before) / conns
		return per == last
	})
	open.close()
	for late := time.Now().Add(patience); memory() > before+conns*1000 && time.Now().Before(late); {
		runtime.Gosched() // until theirs is free, as far as it gets
	}
	return per
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

//go:build unix

package core_test

import (
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// BenchmarkMove moves 10,000 idle connections from one process to the next. It prints
// the median of how long that takes: from the word that the new process is current to the
// end of the old one, by the log's clock.
//
//	go test -run '^$' -bench Move -benchtime 5x ./core
func BenchmarkMove(b *testing.B) {
	const conns = 10_000
	var lim syscall.Rlimit
	must(b, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim))
	if lim.Cur < conns+1000 {
		b.Skipf("%d descriptors are the limit; ulimit -Hn allows more", lim.Cur)
	}
	a := start(b, "app")
	first := a.expect("ready", 0)
	open := make(askers, conns)
	defer open.close()
	for i := range open {
		c, err := net.Dial("tcp", first.Addrs[0])
		must(b, err)
		open[i] = c
	}
	var took []float64
	b.ResetTimer()
	for i := range b.N {
		open.once(b)
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		old := a.expect("end", i)
		a.expect("ready", i+1)
		began, ended := logTime(a, old.PID, "msg=draining"), logTime(a, old.PID, `msg="generation ended"`)
		took = append(took, float64(ended.Sub(began).Milliseconds()))
	}
	b.StopTimer()
	println(a.log())
	open.once(b)
	l := getJSON[core.Ledger](b, first.Addrs[0], "/stats")
	if l.Adopted != conns {
		b.Errorf("%d of %d connections were moved", l.Adopted, conns)
	}
	b.ReportMetric(median(took), "ms/10000conns")
	b.ReportMetric(0, "ns/op")
}

// once asks on each connection.
func (a askers) once(b *testing.B) {
	b.Helper()
	var wg sync.WaitGroup
	for from := 0; from < len(a); from += 100 {
		wg.Go(func() {
			for _, c := range a[from : from+100] {
				if _, err := c.Write(benchRequest); err != nil {
					b.Error(err)
					return
				}
			}
			buf := make([]byte, 512)
			for _, c := range a[from : from+100] {
				if _, err := c.Read(buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// logTime is when the process logged the message.
func logTime(a *app, pid int, msg string) time.Time {
	a.t.Helper()
	line := regexp.MustCompile(`time=(\S+) level=INFO ` + regexp.QuoteMeta(msg) + ` generation=\d+ pid=` + strconv.Itoa(pid))
	var at time.Time
	if !a.Until(func() bool {
		m := line.FindStringSubmatch(a.log())
		if m == nil {
			return false
		}
		at, _ = time.Parse(time.RFC3339Nano, m[1])
		return true
	}) {
		a.t.Fatalf("no log line %q of %d", msg, pid)
	}
	return at
}

// BenchmarkMemory opens idle connections to a server of gracex's and one of net/http's
// in turn and prints what one more of them takes, heap and stacks together.
//
//	go test -run '^$' -bench Memory -benchtime 5x ./core
func BenchmarkMemory(b *testing.B) {
	const conns = 2000
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	addr := serveInProcess(b, handler)
	bare := serveBare(b, handler)
	var diff, ours, theirs []float64
	for b.Loop() {
		o, t := perConn(b, addr, conns), perConn(b, bare, conns)
		ours, theirs, diff = append(ours, o), append(theirs, t), append(diff, o-t)
	}
	b.ReportMetric(median(ours), "bytes/conn")
	b.ReportMetric(median(theirs), "bare-bytes/conn")
	b.ReportMetric(median(diff), "more-bytes/conn")
	b.ReportMetric(0, "ns/op")
}

func perConn(b *testing.B, addr net.Addr, n int) float64 {
	b.Helper()
	open := make(askers, n)
	before := memory()
	for i := range open {
		c, err := net.Dial("tcp", addr.String())
		must(b, err)
		open[i] = c
	}
	open.once(b)
	// All wait for their next request: net/http says so after the answer.
	deadline := time.Now().Add(patience)
	var per float64
	for last := -1.0; time.Now().Before(deadline) && per != last; {
		last, per = per, float64(memory()-before)/float64(n)
	}
	open.close()
	for memory() > before+uint64(n)*1000 && time.Now().Before(deadline) {
		runtime.Gosched()
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

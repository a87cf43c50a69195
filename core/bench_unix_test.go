//go:build unix

package core_test

import (
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
	open := newAskers(b, first.Addrs[0], conns)
	defer open.close()
	m := measures{}
	b.ResetTimer()
	for i := range b.N {
		open.once(b)
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		old := a.expect("end", i)
		a.expect("ready", i+1)
		began, ended := logTime(a, old.PID, "msg=draining"), logTime(a, old.PID, `msg="generation ended"`)
		m.add("ms/10000conns", float64(ended.Sub(began).Milliseconds()))
	}
	b.StopTimer()
	open.once(b)
	l := getJSON[core.Ledger](b, first.Addrs[0], "/stats")
	if l.Adopted != conns {
		b.Errorf("%d of %d connections were moved", l.Adopted, conns)
	}
	m.report(b)
	b.ReportMetric(0, "ns/op")
}

// once asks on each connection.
func (a askers) once(b *testing.B) {
	b.Helper()
	var wg sync.WaitGroup
	for part := range slices.Chunk(a, 100) {
		wg.Go(func() {
			for _, c := range part {
				if _, err := c.Write(benchRequest); err != nil {
					b.Error(err)
					return
				}
			}
			buf := make([]byte, 512)
			for _, c := range part {
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
func logTime(a *app, pid int, msg string) (at time.Time) {
	a.t.Helper()
	line := regexp.MustCompile(`time=(\S+) level=INFO ` + regexp.QuoteMeta(msg) + ` generation=\d+ pid=` + itoa(pid))
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
	const conns = 2000
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	addr, bare := serveInProcess(b, handler), serveBare(b, handler)
	m := measures{}
	for b.Loop() {
		ours, theirs := perConn(b, addr, conns), perConn(b, bare, conns)
		m.add("bytes/conn", ours)
		m.add("bare-bytes/conn", theirs)
		m.add("more-bytes/conn", ours-theirs)
	}
	m.report(b)
	b.ReportMetric(0, "ns/op")
}

func perConn(b *testing.B, addr string, n int) (per float64) {
	b.Helper()
	before := memory()
	open := newAskers(b, addr, n)
	open.once(b)
	proctest.Await(b, "all wait for their next request", func() bool { // net/http says so after the answer
		last := per
		per = float64(memory()-before) / float64(n)
		return per == last
	})
	open.close()
	proctest.Await(b, "their memory is free", func() bool { return memory() <= before+uint64(n)*1000 })
	return per
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

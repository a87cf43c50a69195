package core_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// BenchmarkParked moves 9,000 idle connections to a new process, and prints how much more memory that has for each than a
// new process without connections.
//
//	go test -run '^$' -bench Parked -benchtime 5x ./core
func BenchmarkParked(b *testing.B) {
	const conns = 9_000
	needsDescriptors(b, conns+1000)
	m := measures{}
	for range b.N {
		a, first := serving(b)
		before := residentMemory(b, a.next(first).PID)
		open := newAskers(b, first.Addrs[0], conns)
		open.once(b)
		now := a.next(a.expect("ready", 1))
		a.endsWell(1)
		proctest.Await(b, "all have moved", func() bool {
			return getJSON[core.Ledger](b, first.Addrs[0], "/stats").Adopted == conns
		})
		m.add("bytes/conn", (residentMemory(b, now.PID)-before)/conns)
		open.close()
		a.stopAll(now.PID)
	}
	m.report(b)
	b.ReportMetric(0, "ns/op")
}

// BenchmarkParkedHTTP2 prints how much memory a process has more for each of 1,000 idle HTTP/2 connections, which have
// had a request: the one that has accepted them, and one that they have moved to.
//
//	go test -run '^$' -bench ParkedHTTP2 -benchtime 3x ./core
func BenchmarkParkedHTTP2(b *testing.B) {
	const conns = 1000
	needsDescriptors(b, conns+1000)
	m := measures{}
	for range b.N {
		a, first := serving(b, "-h2c")
		empty := residentMemory(b, first.PID)
		clients := make([]*rawhttp.HTTP2, conns)
		for i := range clients {
			clients[i] = rawhttp.DialHTTP2(b, first.Addrs[0], nil)
			clients[i].Ask(1)
			clients[i].Answered(1)
		}
		m.add("accepted-bytes/conn", (residentMemory(b, first.PID)-empty)/conns)
		current := first
		for gen := range 3 {
			current = a.next(current)
			a.endsWell(gen)
		}
		m.add("moved-bytes/conn", (residentMemory(b, current.PID)-empty)/conns)
		for _, c := range clients {
			c.Ask(3)
			c.Answered(3)
			must(b, c.Close())
		}
		a.stopAll(current.PID)
	}
	m.report(b)
	b.ReportMetric(0, "ns/op")
}

// residentMemory is how much memory a process has, in bytes.
func residentMemory(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/" + itoa(pid) + "/status")
	must(b, err)
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmRSS:" {
			kB, err := strconv.ParseFloat(fields[1], 64)
			must(b, err)
			return kB * 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

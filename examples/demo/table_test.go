package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

func TestTable(t *testing.T) {
	t.Parallel()
	var latency load.Histogram
	for range 99 {
		latency.Add(time.Millisecond)
	}
	latency.Add(20 * time.Millisecond)
	good := entry{name: "gracex", upgrades: []time.Duration{30 * time.Millisecond, 1500 * time.Millisecond},
		result: load.Result{Elapsed: 3 * time.Second, Requests: 1234567, Latency: latency}, around: latency}
	bad := entry{name: "usual recipe", upgrades: []time.Duration{time.Millisecond, time.Millisecond},
		failed: []error{errors.New("no luck")}, wrote: "\tits log",
		result: load.Result{Requests: 100, Failed: 3, Reconnects: 2, Latency: latency,
			Reasons: map[load.Reason]int{load.Reset: 1, load.NoAnswer: 2}, Errors: []error{errors.New("the first")}}}
	want := `|  | gracex | usual recipe |
|---|---|---|
| time | 3.0 s | 0.0 s |
| requests | 1,234,567 | 100 |
| upgrades | 2 | 2 |
| **lost** | **0** | **3** |
| **reconnects of the 8 that keep their connection** | **0** | **2** |
| latency p50 / p99, all the time | 1.02 ms / 1.02 ms | 1.02 ms / 1.02 ms |
| latency p50 / p99, around upgrades | 1.02 ms / 1.02 ms | - |
| slowest request | 20.00 ms | 20.00 ms |
| slowest upgrade, signal to first answer | 1500 ms | 1.00 ms |

gracex: nothing lost
usual recipe: 100 requests, 3 failed, 0 connections, 2 reconnects, 0 servers in 0s, latency p50 1.024ms p99 1.024ms max 20ms; 2 EOF before the answer; 1 connection reset
	the first
usual recipe: no luck
usual recipe wrote:
	its log
`
	if got := table([]entry{good, bad}, 8); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if text := table([]entry{{name: "none"}}, 8); !strings.Contains(text, "first answer | - |\n") {
		t.Errorf("without upgrades:\n%s", text)
	}
	bad.result.Failed = 0
	if exitStatus([]entry{good}) != 0 || exitStatus([]entry{good, bad}) != 0 || exitStatus([]entry{bad, good}) != exitLost {
		t.Error("exit status is not gracex's")
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	var latency load.Histogram
	for range 99 {
		latency.Add(time.Millisecond)
	}
	latency.Add(20 * time.Millisecond)
	good := entry{name: "gracex", upgrades: []time.Duration{30 * time.Millisecond, 1500 * time.Millisecond},
		result: load.Result{Elapsed: 3 * time.Second, Requests: 1234567, Connects: 36, Latency: latency}, around: latency}
	bad := entry{name: "usual recipe", upgrades: []time.Duration{time.Millisecond, time.Millisecond},
		failed: []error{errors.New("no luck")}, wrote: "\tits log",
		result: load.Result{Requests: 100, Failed: 3, Latency: latency,
			Reasons: map[load.Reason]int{load.Reset: 1, load.NoAnswer: 2}, Errors: []error{errors.New("the first")}}}
	text := ledger([]entry{good, bad})
	for _, want := range []string{
		"ledger                          gracex    usual recipe\n",
		"requests                     1,234,567             100\n",
		"upgrades                             2               2\n",
		"upgrades failed                      0               1\n",
		"lost                                 0               3\n",
		"lost per upgrade                   0.0             1.5\n",
		"connections opened                  36               0\n",
		"latency p50                    1.02 ms         1.02 ms\n",
		"slowest request               20.00 ms        20.00 ms\n",
		"p99 around upgrades            1.02 ms               -\n",
		"worst upgrade                  1500 ms         1.00 ms\n",
		"gracex: nothing lost.\n",
		"usual recipe: 3 requests lost (2 EOF before the answer, 1 connection reset), the first:\n\tthe first\n",
		"usual recipe: 1 upgrade failed, the first:\n\tno luck\nusual recipe wrote:\n\tits log\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if text := ledger([]entry{good}); strings.Contains(text, "upgrades failed") {
		t.Errorf("a row of zeros in\n%s", text)
	}
	if text := ledger([]entry{{name: "none"}}); !strings.Contains(text, "worst upgrade                        -\n") {
		t.Errorf("without upgrades:\n%s", text)
	}
	bad.result.Failed = 0
	if exitStatus([]entry{good}) != 0 || exitStatus([]entry{good, bad}) != 0 || exitStatus([]entry{bad, good}) != exitLost {
		t.Error("exit status is not gracex's")
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000"} {
		if got := number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

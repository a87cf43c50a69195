package main

import (
	"errors"
	"strings"
	"testing"
)

func TestMatrix(t *testing.T) {
	t.Parallel()
	cut := errors.New("connection reset")
	m := matrix{
		{cell: cell{step: stepReady, fault: faultKillOld}, outcome: newServes, counts: counts{requests: 100, died: 7}},
		{cell: begin, outcome: newServes, counts: counts{requests: 10}},
		{cell: cell{step: stepReady, fault: "cut"}, outcome: oldServes, counts: counts{requests: 5, lost: []error{cut}}, err: cut},
		{cell: cell{step: stepBegin, fault: faultDisk}, err: notPossibleError("no mounts")},
		{cell: cell{step: stepHello, fault: "cut"}, err: errors.New("hung")},
	}
	const want = `
| fault    | begin        | hello     | ready       |
|---       |---           |---        |---          |
| none     | new 0        |           |             |
| kill-old |              |           | new 0+7     |
| cut      |              | WRONG ? 0 | WRONG old 1 |
| enospc   | not possible |           |             |

4 cells, 115 requests: 1 lost, 7 died with a process that was killed. begin/enospc: not possible here: no mounts.
`
	var b strings.Builder
	m.print(&b)
	if got := "\n" + b.String(); got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
	if err := m.err(); err == nil || !strings.Contains(err.Error(), "2 of 5 cells went wrong: ready/cut, hello/cut") {
		t.Error(err)
	}
	if err := (matrix{{cell: begin}, {err: notPossibleError("x")}}).err(); err != nil {
		t.Error(err)
	}
}

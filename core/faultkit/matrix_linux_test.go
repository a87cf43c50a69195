package main

import (
	"errors"
	"strings"
	"testing"
)

func sampleMatrix() *matrix {
	cut := errors.New("connection reset")
	return &matrix{results: []result{
		{cell: cell{step: stepReady, fault: faultKillOld}, outcome: newServes, counts: counts{requests: 100, died: 7}},
		{cell: begin, outcome: newServes, counts: counts{requests: 10}},
		{cell: cell{step: stepReady, fault: faultCut}, outcome: oldServes, counts: counts{requests: 5, lost: []error{cut}}, err: cut},
		{cell: cell{step: stepBegin, fault: faultDisk}, err: notPossibleError("no mounts")},
		{cell: cell{step: stepHello, fault: faultCut}, err: errors.New("hung")},
	}}
}

func TestMatrixText(t *testing.T) {
	t.Parallel()
	const want = `fault     begin         hello    ready        
none      new 0                               
kill-old                         new 0+7      
cut                     WRONG ? 0  WRONG old 1  
enospc    not possible                        
4 cells, 115 requests: 1 lost, 7 died with a process that was killed. begin/enospc: not possible here: no mounts.
`
	var b strings.Builder
	sampleMatrix().text(&b)
	got := b.String()
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("\n%s\nnot\n%s", got, want)
	}
}

func TestMatrixMarkdown(t *testing.T) {
	t.Parallel()
	const want = `| fault | begin | hello | ready |
|---|---|---|---|
| none | new 0 |  |  |
| kill-old |  |  | new 0+7 |
`
	var b strings.Builder
	sampleMatrix().markdown(&b)
	if !strings.HasPrefix(b.String(), want) {
		t.Errorf("\n%s\nnot\n%s", &b, want)
	}
}

func TestMatrixError(t *testing.T) {
	t.Parallel()
	err := sampleMatrix().err()
	if err == nil || !strings.Contains(err.Error(), "2 of 5 cells went wrong: ready/cut, hello/cut") {
		t.Error(err)
	}
	if err := (&matrix{results: []result{{cell: begin}, {err: notPossibleError("x")}}}).err(); err != nil {
		t.Error(err)
	}
}

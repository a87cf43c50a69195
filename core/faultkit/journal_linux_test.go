package main

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// A log in which three upgrades fail on purpose and one succeeds.
const sampleLog = `{"time":"2026-01-02T03:04:05.1Z","level":"INFO","msg":"current","generation":0,"own_pid":10,"addresses":["a","b","c"]}
{"time":"2026-01-02T03:04:05.2Z","level":"INFO","msg":"this upgrade fails on purpose","own_pid":11,"how":"exit"}
{"time":"2026-01-02T03:04:05.3Z","level":"ERROR","msg":"upgrade failed; this process serves on","generation":0,"own_pid":10,"error":"gracex: the new process /x (pid 11): it ended before it was ready (exit status 7 after 3ms)"}
{"time":"2026-01-02T03:04:05.4Z","level":"INFO","msg":"this upgrade fails on purpose","own_pid":10,"how":"veto"}
{"time":"2026-01-02T03:04:05.5Z","level":"ERROR","msg":"upgrade failed; this process serves on","generation":0,"own_pid":10,"error":"gracex: upgrade vetoed: on purpose"}
{"time":"2026-01-02T03:04:05.5Z","level":"INFO","msg":"this upgrade fails on purpose","own_pid":14,"how":"hang"}
SIGABRT: abort
PC=0x40b7ec m=0 sigcode=0

{"time":"2026-01-02T03:04:05.5Z","level":"DEBUG","msg":"connections adopted","generation":0,"own_pid":10}
goroutine 1 [select]:
{"time":"2026-01-02T03:04:05.5Z","level":"ERROR","msg":"upgrade failed; this process serves on","generation":0,"own_pid":10,"error":"gracex: the new process /x (pid 14): it was not ready in time"}
{"time":"2026-01-02T03:04:05.6Z","level":"INFO","msg":"current","generation":1,"own_pid":12,"addresses":["a","b","c"]}
{"time":"2026-01-02T03:04:05.7Z","level":"INFO","msg":"upgraded","generation":0,"own_pid":10,"new_pid":12,"took":"30ms","plain":false}
{"time":"2026-01-02T03:04:05.8Z","level":"WARN","msg":"upgrade refused","generation":0,"own_pid":10,"error":"gracex: stopped"}
{"time":"2026-01-02T03:04:05.9Z","level":"INFO","msg":"generation ended","generation":0,"own_pid":10,"ledger":{"accepted":3,"served":5,"moved":2}}
{"time":"2026-01-02T03:04:06Z","level":"INFO","msg":"census","own_pid":12,"generation":1,"census":{"Goroutines":7,"Descriptors":9,"Connections":4}}
`

func TestJournal(t *testing.T) {
	t.Parallel()
	v := newVerdict(t.Output())
	var kept strings.Builder
	j := newJournal(v, &kept)
	for part := range slices.Chunk([]byte(sampleLog), 100) {
		_, _ = j.Write(part)
	}
	s := j.look()
	switch {
	case v.err() != nil:
		t.Error(v.err())
	case kept.String() != sampleLog:
		t.Errorf("kept %q", kept.String())
	case s.newest() != 1 || s.history[0].pid != 10 || s.history[1].pid != 12:
		t.Errorf("%+v", s.history)
	case s.history[0].took.Milliseconds() != 30 || s.history[0].ended.IsZero() || s.history[0].ledger["served"] != 5:
		t.Errorf("%+v", s.history[0])
	case s.failures() != 3 || s.failed[own.FailExit] != 1 || s.failed[own.FailVeto] != 1 || s.failed[own.FailHang] != 1 ||
		len(s.planned) != 0:
		t.Errorf("%v, %v", s.failed, s.planned)
	case len(s.samples) != 1 || s.samples[0].generation != 1 || s.samples[0].Own() != 5:
		t.Errorf("%+v", s.samples)
	case s.refused != 1 || s.outcome.Nanosecond() != 800_000_000 || len(s.history[0].addresses) != 3:
		t.Errorf("%+v", s)
	}
	if !j.says(newestIs(1)) || j.says(newestIs(2)) {
		t.Errorf("generation %d is not the newest", s.newest())
	}
}

// TestJournalComplains: what nobody has asked for is a failure.
func TestJournalComplains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want check
	}{
		{`{"level":"ERROR","msg":"the two processes count the moved connections differently","moved":3,"adopted":2}`, checkLog},
		{`{"level":"WARN","msg":"drain cut short"}`, checkLog},
		{`panic: a bug`, checkLog},
		{`SIGABRT: abort`, checkLog},
		{`{"level":"ERROR","msg":"upgrade failed; this process serves on","own_pid":12,"error":"gracex: the new process /x (pid 13): it ended"}`, checkUpgrades},
		{`{"level":"ERROR","msg":"upgrade failed; this process serves on","own_pid":12,"error":"gracex: the new process /x (pid 11): it ended"}`, checkUpgrades},
	} {
		v := newVerdict(t.Output())
		_, _ = io.WriteString(newJournal(v, io.Discard), sampleLog+c.line+"\n")
		if v.found[c.want] != 1 {
			t.Errorf("%s: %v", c.line, v.err())
		}
	}
}

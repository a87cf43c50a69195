package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// The block is drawn over itself, so it must not change its height.
func TestBlockKeepsItsHeight(t *testing.T) {
	t.Parallel()
	st := status{name: ginExample.name, addr: "127.0.0.1:1", lasting: time.Second, pid: 7, generation: "0"}
	height := len(st.block(false))
	st.total = load.Result{Requests: 5000, Failed: 2, Reasons: map[load.Reason]int{load.Reset: 2}}
	st.upgrades, st.draining, st.generation = []time.Duration{time.Millisecond, 2 * time.Millisecond}, 1, "2"
	st.now.Add(time.Millisecond)
	st.around.Add(time.Millisecond)
	text := strings.Join(st.block(false), "\n")
	for _, want := range []string{"5,000", "2   mostly connection reset", "pid 7, generation 2; 1 draining", "2.00 ms   from the signal"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || !strings.Contains(strings.Join(st.block(true), ""), "\x1b[1;31m") {
		t.Error("color where there should be none, or none where there should be")
	}
	st.failed = []error{errors.New("no luck")}
	if got := st.block(false); len(got) != height || !strings.Contains(strings.Join(got, ""), "1 failed: no luck") {
		t.Errorf("%d lines, want %d:\n%s", len(got), height, strings.Join(got, "\n"))
	}
}

func TestScreenRedraws(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	scr := newScreen(w)
	if scr.live || scr.interval() != time.Second {
		t.Error("a pipe is taken for a terminal")
	}
	scr.live = true
	st := status{name: ginExample.name, lasting: time.Second}
	scr.show(st)
	scr.show(st)
	scr.keep()
	scr.show(st)
	w.Close()
	scr.show(st)
	if !scr.broken() {
		t.Error("a write that failed is not noticed")
	}
	buf := make([]byte, 1<<16)
	n, _ := r.Read(buf)
	if text := string(buf[:n]); strings.Count(text, "\x1b[8A") != 1 || strings.Count(text, "  requests") != 3 {
		t.Errorf("want three blocks, the second over the first:\n%q", text)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	st := status{name: usualRecipe.name, elapsed: 2 * time.Second, pid: 7, generation: "0",
		total: load.Result{Requests: 5000, Failed: 3, Connects: 12, Reconnects: 4}, upgrades: []time.Duration{5 * time.Millisecond}}
	want := "usual recipe 2.0 s: requests 5,000, failed 3, connections 12, reconnects 4, serving pid 7, process 2, upgrade 1 took 5.00 ms, p50 - p99 -"
	if got := st.line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

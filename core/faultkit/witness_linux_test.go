package main

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// TestWitness: what is excused is what a killed process had, and nothing else, and a wrong answer is never excused.
func TestWitness(t *testing.T) {
	t.Parallel()
	w := &witness{killed: map[tcpConn]time.Time{}, requests: 8}
	at := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	on := func(port int) load.Sample { return load.Sample{Start: time.Now(), Local: at(port), Remote: at(80)} }
	failed := func(port int, dialed bool, why load.Reason) {
		s := on(port)
		s.Dialed, s.Err = dialed, &load.RequestError{Reason: why, Err: net.ErrClosed}
		w.observe("post", s)
	}
	failed(1, false, load.Reset) // lost: nobody was killed yet
	w.excuse(map[tcpConn]bool{connOf(on(1)): true, connOf(on(2)): true})
	failed(1, false, load.Reset)     // died
	failed(1, false, load.Truncated) // died, too: behind it in a pipeline
	failed(2, false, load.WrongTag)  // crossed
	failed(2, true, load.NoAnswer)   // lost: another connection from the same port
	failed(3, false, load.Left)      // neither
	w.observe("post", on(4))
	w.observe("post", on(4))
	if len(w.lost) != 2 || len(w.crossed) != 1 || w.died != 2 || w.left != 1 {
		t.Errorf("%v: %v %v", w, w.lost, w.crossed)
	}
	var out bytes.Buffer
	v := newVerdict(&out)
	w.judge(v, "a storm", &runs{total: 1, twice: []string{"a tag"}})
	err := v.err()
	for _, want := range []string{"requests (2)", "crossed (1)", "twice (2)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q\n%s", err, want, &out)
		}
	}
}

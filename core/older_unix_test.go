//go:build unix

package core_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestMaxDraining_OldestIsCutBeyondIt has a download in the oldest generation. Each later one waits for the one before.
func TestMaxDraining_OldestIsCutBeyondIt(t *testing.T) {
	t.Parallel()
	const most = 10
	a, last := serving(t, "-maxdraining", itoa(most), "-drain", "4m", "-probation", "20ms")
	c := download(t, last.Addrs[0])
	for i := range most {
		last = a.next(last)
		a.expectLog("msg=upgraded", i+1)
		if line, err := c.Reader.ReadString('\n'); line != "more\n" || err != nil {
			t.Fatalf("the download of generation 0 after %d upgrades: %q, %v", i+1, line, err)
		}
	}
	if n := len(a.alive()); n != most+1 {
		t.Errorf("%d processes, want %d", n, most+1)
	}
	last = a.next(last)
	for i := range most + 1 {
		end := a.expect("end", i)
		want := "" // they had nothing left but to see the one before off
		if end.Gen == 0 {
			want = core.ErrCut.Error() +
				": too many generations drain with 1 request on 1 connection, 0 hijacked connections left"
		}
		if end.Err != want {
			t.Errorf("generation %d ended with %q, want %q", end.Gen, end.Err, want)
		}
	}
	_, _ = io.Copy(io.Discard, c) // it ends

	c = download(t, last.Addrs[0])
	a.next(last)
	a.expectLog("msg=upgraded", most+2)
	c.Close()
	a.endsWell(most + 1)
}

// TestMaxDraining_EachOneTooManyIsCut has more of them while the first cut takes its time.
func TestMaxDraining_EachOneTooManyIsCut(t *testing.T) {
	t.Parallel()
	a, last := serving(t, "-maxdraining", "1", "-drain", "4m")
	a.setMode("slowhook") // which holds up the cut
	for i := range 3 {
		download(t, last.Addrs[0])
		last = a.next(last)
		a.expectLog("msg=upgraded", i+1)
	}
	a.expect("draintimeout", 1)
	a.setMode("")
	for i := range 2 {
		if end := a.expect("end", i); end.Gen > 1 || !strings.Contains(end.Err, "too many generations drain") {
			t.Errorf("%+v", end)
		}
	}
	if n := len(a.alive()); n != 2 {
		t.Errorf("%d processes, want 2", n)
	}
}

// download begins one that has no end: a line each few milliseconds.
func download(t *testing.T, addr string) *rawhttp.Client {
	t.Helper()
	c := rawhttp.Dial(t, addr)
	c.Send("GET /download HTTP/1.0\r\n\r\n")
	must(t, c.SetDeadline(time.Time{}))
	for line := ""; line != "more\n"; {
		var err error
		line, err = c.Reader.ReadString('\n')
		must(t, err)
	}
	return c
}

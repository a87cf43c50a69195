//go:build unix

package core_test

import (
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestMaxDraining_OldestIsCutBeyondIt has a download in each generation but one, which has nothing to do and ends.
func TestMaxDraining_OldestIsCutBeyondIt(t *testing.T) {
	t.Parallel()
	const most = 4
	a, last := serving(t, "-maxdraining", itoa(most), "-drain", "4m", "-probation", "20ms")
	oldest := last
	c := download(t, last.Addrs[0])
	for i := range most + 1 {
		if last = a.next(last); i != 1 {
			download(t, last.Addrs[0])
		}
		a.expectLog("msg=upgraded", i+1)
		if line, err := c.Reader.ReadString('\n'); line != "more\n" || err != nil {
			t.Fatalf("the download of generation 0 after %d upgrades: %q, %v", i+1, line, err)
		}
	}
	if end := a.endsWell(0); end.Gen != 2 {
		t.Errorf("generation %d has ended, want the one with nothing to do", end.Gen)
	}
	if n := len(a.alive()); n != most+1 {
		t.Errorf("%d processes, want %d", n, most+1)
	}
	a.next(last)
	if end := a.endsWell(1); end.PID != oldest.PID {
		t.Errorf("generation %d has ended, want the oldest", end.Gen)
	}
	a.expectLog("why=\"too many generations drain\"", 1)
	_, _ = io.Copy(io.Discard, c) // it ends
	if n := len(a.alive()); n != most+1 {
		t.Errorf("%d processes, want %d", n, most+1)
	}
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
		if end := a.endsWell(i); end.Gen > 1 {
			t.Errorf("%+v", end)
		}
	}
	a.expectLog("why=\"too many generations drain\"", 2)
	if n := len(a.alive()); n != 2 {
		t.Errorf("%d processes, want 2", n)
	}
}

// TestOlder_ProcessWithNothingLeftEndsAtOnce, whatever the process before it does. The current one sees to that.
func TestOlder_ProcessWithNothingLeftEndsAtOnce(t *testing.T) {
	t.Parallel()
	a, c, last := controlled(t, "-drain", "4m")
	first := last
	stream := download(t, first.Addrs[0])
	for i := range 3 {
		next := a.next(last)
		a.expectLog("msg=upgraded", i+1)
		if i > 0 {
			if end := a.endsWell(i - 1); end.PID != last.PID {
				t.Errorf("%+v has ended, want generation %d", end, last.Gen)
			}
		}
		last = next
	}
	status(t, c, func(st control.Status) bool {
		return len(st.Generations) == 2 && st.Generations[0].PID == last.PID &&
			st.Generations[1].PID == first.PID && st.Generations[1].State == "draining"
	})
	goesOn := func() {
		if line, err := stream.Reader.ReadString('\n'); line != "more\n" || err != nil {
			t.Errorf("the download: %q, %v", line, err)
		}
	}
	goesOn()

	// A stop of the service ends when the last of its processes has.
	a.signal(last.PID, syscall.SIGTERM)
	a.expectLog("handover=false", 1)
	for range 50 { // it has the time to end meanwhile
		goesOn()
	}
	stream.Close()
	if end := a.endsWell(2); end.PID != first.PID {
		t.Errorf("%+v has ended, want the one with the download", end)
	}
	a.endsWell(3)
	a.expectGone()
}

// TestOlder_SecondStopCutsAll processes of the service.
func TestOlder_SecondStopCutsAll(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "4m")
	download(t, first.Addrs[0])
	second := a.next(first)
	a.expectLog("msg=upgraded", 1)
	a.signal(second.PID, syscall.SIGTERM)
	a.expectLog("signal: stop", 1)
	a.signal(second.PID, syscall.SIGTERM)
	a.expectGone()
	a.expectLog("why=\"a second stop was asked for\" requests=1", 1)
}

// TestOlder_SecondStopCutsAllWhenTheFirstHasBegun: the first one waits for the word of the old process, which stands
// still.
func TestOlder_SecondStopCutsAllWhenTheFirstHasBegun(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "4m")
	download(t, first.Addrs[0])
	second := a.next(first)
	a.freeze(first.PID)
	a.signal(second.PID, syscall.SIGTERM)
	a.expectLog("signal: stop", 1)
	a.signal(second.PID, syscall.SIGTERM)
	a.expectLog("second stop signal", 1)
	a.signal(first.PID, syscall.SIGCONT)
	a.expectGone()
	a.expectLog("why=\"a second stop was asked for\" requests=1", 1)
}

// TestOlder_MainsThatDoNotReturnAreEnded has programs that serve in a goroutine and wait for a signal in main, with no
// limit of the drain. Each is seen while it is there, and the last one is ended by a stop.
func TestOlder_MainsThatDoNotReturnAreEnded(t *testing.T) {
	t.Parallel()
	a, c, last := controlled(t, "-drain", "0", "-linger")
	for i := range 3 {
		next := a.next(last)
		if ev := a.expect("lingers", i); ev.PID != last.PID {
			t.Errorf("%+v, want generation %d", ev, last.Gen)
		}
		last = next
	}
	status(t, c, func(st control.Status) bool {
		return len(st.Generations) == 4 && st.Generations[3].Generation == 0 && st.Generations[3].State == "stopped"
	})
	for i := range 3 {
		a.endsWell(i)
	}
	a.expectLog("the main of the old process does not return; signal sent", 3)
	must(t, c.End(t.Context()))
	a.expectLog("main has not returned after the stop; signal sent", 1)
	a.endsWell(3)
	a.expectGone()
}

// TestStopAndWait_EndsAMainThatDoesNotReturn, in the same request.
func TestStopAndWait_EndsAMainThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	a, c, _ := controlled(t, "-linger")
	must(t, c.StopAndWait(t.Context()))
	a.expectLog("main has not returned after the stop; signal sent", 1)
	a.endsWell(0)
	a.expectGone()
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

//go:build unix

package core_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
)

// sweepStep is the grain of TestKilledAtAnyMoment; the variable CORE_TEST_SWEEP has a finer one, such
// as "5ms".
func sweepStep(t *testing.T) time.Duration {
	if v := os.Getenv("CORE_TEST_SWEEP"); v != "" {
		d, err := time.ParseDuration(v)
		must(t, err)
		return d
	}
	return 70 * time.Millisecond
}

// TestKilledAtAnyMoment: a new process that is killed at any moment from its start until the old one's
// end, which a slow request holds up, has the old one serve again, every time.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	const (
		probation = 150 * time.Millisecond
		swept     = 500 * time.Millisecond // the start, the probation, and some of the drain
		request   = 3 * time.Second        // which is there until the end of it
	)
	for _, p := range []time.Duration{probation, 0} {
		for at := time.Duration(0); at < swept; at += sweepStep(t) {
			t.Run(fmt.Sprintf("probation %v/after %v", p, at), func(t *testing.T) {
				t.Parallel()
				killedAt(t, p, at, request)
			})
		}
	}
}

func killedAt(t *testing.T, probation, at, request time.Duration) {
	a := start(t, "app", "-probation", probation.String(), "-share", "0", "-pidfile", "app.pid")
	first := a.expect("ready", 0)
	slow := make(chan error, 1)
	go func() {
		_, err := get(first.Addrs[0], "/?d="+request.String())
		slow <- err
	}()
	a.expect("handling", 0)
	run := load.Start(load.Config{Addr: first.Addrs[0], Fresh: 1})
	a.signal(first.PID, syscall.SIGUSR2)
	begun := a.expect("postfork", 0)
	time.Sleep(at) // that is what it is about
	second, err := strconv.Atoi(begun.Err)
	must(t, err)
	must(t, syscall.Kill(second, syscall.SIGKILL))
	if !a.Until(func() bool { return strings.Contains(a.log(), "this process serves ") }) {
		t.Fatal("the old process does not say that it serves")
	}
	if res := run.Stop(); res.Failed > 1 { // the one request that was in the process that was killed
		t.Error(res)
	}
	for range 3 {
		if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != first.PID || st.State != core.StateCurrent {
			t.Errorf("%+v", st)
		}
	}
	if pid := pidIn(t, a, second); pid != first.PID {
		t.Errorf("the pid file names %d, want %d", pid, first.PID)
	}
	if err := <-slow; err != nil {
		t.Errorf("the slow request: %v", err)
	}
	a.signal(first.PID, syscall.SIGUSR2)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		resp, err := http.Get("http://" + first.Addrs[0] + "/")
		must(t, err)
		must(t, resp.Body.Close())
		if resp.Header.Get("X-Pid") != itoa(first.PID) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the next upgrade does not come")
		}
	}
}

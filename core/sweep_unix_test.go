//go:build unix

package core_test

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestOldProcess_ServesAgainWheneverTheNewOneIsKilled tries moments from the new process's start into the old one's
// drain, which a slow request holds up.
func TestOldProcess_ServesAgainWheneverTheNewOneIsKilled(t *testing.T) {
	t.Parallel()
	const (
		swept = 500 * time.Millisecond // the start, the probation, and some of the drain
		slow  = "/?d=3s"               // a request that is there until the end of it
	)
	step := 70 * time.Millisecond
	if v := os.Getenv("CORE_TEST_SWEEP"); v != "" { // a finer one, such as 5ms
		var err error
		step, err = time.ParseDuration(v)
		must(t, err)
	}
	for _, probation := range []string{"150ms", "0s"} {
		for at := time.Duration(0); at < swept; at += step {
			t.Run(fmt.Sprintf("probation %v/after %v", probation, at), func(t *testing.T) {
				t.Parallel()
				a, first := serving(t, "-probation", probation, "-share", "0", "-pidfile", "app.pid")
				addr := first.Addrs[0]
				held := rawhttp.Dial(t, addr)
				held.Ask(slow)
				a.expect("handling", 0)
				run := load.Start(load.Config{Addr: addr, Fresh: 1})
				a.signal(first.PID, syscall.SIGUSR2)
				begun := a.expect("postfork", 0)
				time.Sleep(at) // that is what it is about
				second, err := strconv.Atoi(begun.Err)
				must(t, err)
				a.signal(second, syscall.SIGKILL)
				a.expectLog("this process serves ", 1)
				if res := run.Stop(); res.Failed > 1 { // the one request that was in the process that was killed
					t.Error(res)
				}
				for range 3 {
					expectCurrent(t, addr, first.PID)
				}
				if pid := pidIn(t, a, second); pid != first.PID {
					t.Errorf("the pid file names %d, want %d", pid, first.PID)
				}
				held.Answer()
				a.signal(first.PID, syscall.SIGUSR2)
				a.Await("the next process answers", func() bool {
					return getJSON[core.Ledger](t, addr, "/stats").PID != first.PID
				})
			})
		}
	}
}

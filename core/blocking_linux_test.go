package core

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// TestListener_EndWakesBlockedAccepts closes listeners, and pauses some, whose sockets another process has made
// blocking: exec.Cmd.ExtraFiles and os.File.Fd do that (golang/go#29277), in a foreign master that starts its next
// worker.
func TestListener_EndWakesBlockedAccepts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func([]*listener){
		"close": func(listeners []*listener) { closeAll(listeners, false) },
		"pause": pauseAll,
	} {
		t.Run(name, func(t *testing.T) {
			u := NewTest(t)
			listeners := make([]*listener, 3)
			for i := range listeners {
				listeners[i] = u.ListenTest(t).(*listener)
				must(t, syscall.SetNonblock(listeners[i].duplicate(), false))
			}
			must(t, u.Ready())
			accepted := make(chan error, len(listeners))
			for _, l := range listeners {
				go func() {
					_, err := l.accept()
					accepted <- err
				}()
			}
			awaitThreadsIn(t, syscall.SYS_ACCEPT4, len(listeners))
			end(listeners)
			for _, l := range listeners {
				expectEqual(t, "a connection came", <-accepted == nil, false)
				expectEqual(t, "it is closed", isClosed(l.closed), name == "close")
			}
		})
	}
}

// awaitThreadsIn waits until that many threads of this process wait in a system call.
func awaitThreadsIn(t *testing.T, call, want int) {
	t.Helper()
	proctest.Await(t, fmt.Sprintf("%d threads are in system call %d", want, call), func() bool {
		tasks, err := filepath.Glob("/proc/self/task/*/syscall")
		must(t, err)
		waiting := 0
		for _, task := range tasks {
			if b, _ := os.ReadFile(task); strings.HasPrefix(string(b), strconv.Itoa(call)+" ") {
				waiting++
			}
		}
		return waiting >= want
	})
}

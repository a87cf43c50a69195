package core

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// TestListener_EndWakesABlockedAccept closes a listener, and pauses one, whose socket another process has made blocking:
// exec.Cmd.ExtraFiles and os.File.Fd do that (golang/go#29277), in a foreign master that starts its next worker.
func TestListener_EndWakesABlockedAccept(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(l *listener){
		"close": func(l *listener) { closeAll([]*listener{l}, false) },
		"pause": func(l *listener) { pauseAll([]*listener{l}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := NewTest(t)
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			l := ln.(*listener)
			must(t, syscall.SetNonblock(l.dup, false))
			must(t, u.Ready())
			accepted := make(chan error, 1)
			go func() {
				_, err := l.accept()
				accepted <- err
			}()
			awaitThreadIn(t, syscall.SYS_ACCEPT4)
			end(l)
			if err := <-accepted; err == nil {
				t.Error("a connection came")
			}
			if closed := isClosed(l.closed); closed != (name == "close") {
				t.Errorf("closed: %v", closed)
			}
		})
	}
}

// awaitThreadIn waits until a thread of this process waits in a system call.
func awaitThreadIn(t *testing.T, call int) {
	t.Helper()
	proctest.Await(t, "a thread is in system call "+strconv.Itoa(call), func() bool {
		tasks, _ := filepath.Glob("/proc/self/task/*/syscall")
		return slices.ContainsFunc(tasks, func(task string) bool {
			b, _ := os.ReadFile(task)
			return strings.HasPrefix(string(b), strconv.Itoa(call)+" ")
		})
	})
}

package core_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

func init() {
	const name = "mainthread"
	if os.Getenv(envProgram) == name {
		runtime.LockOSThread() // main's goroutine stays on the first thread
	}
	programs[name] = func() {
		for _, call := range []func(func()){func(f func()) { f() }, core.OffMainThread} {
			call(func() {
				if syscall.Gettid() == os.Getpid() {
					emit(event{Event: "on"})
				} else {
					emit(event{Event: "off"})
				}
			})
		}
		emit(event{Event: "end"})
	}
}

// TestOffMainThread_LeavesTheFirstThread to the signals of the process.
func TestOffMainThread_LeavesTheFirstThread(t *testing.T) {
	t.Parallel()
	a := start(t, "mainthread")
	a.expect("end", 0)
	if on, off := len(a.of("on")), len(a.of("off")); on != 1 || off != 1 {
		t.Errorf("%d calls are on the first thread and %d on another one, want the one that asks for it and the other", on, off)
	}
	a.expectGone()
}

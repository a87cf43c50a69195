package core

import (
	"runtime"
	"syscall"
)

// offMainThread calls f on another thread than the first one of the process. Linux offers a signal for the process to
// that thread first, and to no other one if it takes it: see wants_signal in kernel/signal.c. In a system call that
// can't be interrupted, as on a network file system that does not answer, the thread would keep a SIGTERM from Go.
func offMainThread(f func()) {
	runtime.LockOSThread()
	if syscall.Gettid() != syscall.Getpid() {
		defer runtime.UnlockOSThread()
		f()
		return
	}
	elsewhere, done := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread() // not the first thread, which this function's caller has until then
		defer runtime.UnlockOSThread()
		close(elsewhere)
		f()
		close(done)
	}()
	<-elsewhere
	runtime.UnlockOSThread()
	<-done
}

package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

// The processors of -pin.
const (
	serverProcessor = 0
	clientProcessor = 1
)

// pinKit keeps this process on the processor of the client. It runs one goroutine at a time then.
func pinKit() error {
	if n := runtime.NumCPU(); n <= clientProcessor {
		return fmt.Errorf("-pin needs two processors, one for the client: this process has %d", n)
	}
	runtime.GOMAXPROCS(1)
	return pin(syscall.Getpid(), clientProcessor)
}

// pin keeps all threads of a process on a processor, and with them those that they start (sched_setaffinity(2)).
func pin(pid, processor int) error {
	mask := uintptr(1) << processor // the first word of the set
	pinned := make(map[string]bool)
	for more := true; more; { // one may have started another before it was its turn
		more = false
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			if pinned[task] {
				continue
			}
			tid, _ := strconv.Atoi(filepath.Base(task))
			_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
			if errno != 0 && errno != syscall.ESRCH { // it has ended
				return fmt.Errorf("keep thread %d of process %d on processor %d: %w", tid, pid, processor, errno)
			}
			pinned[task], more = true, true
		}
	}
	return nil
}

package fd

import (
	"os"
	"strconv"
	"syscall"
)

// Interrupt has the system calls in which threads of this process wait begin anew. A call that waits on a
// descriptor which was blocking, and is not any more, returns EAGAIN then. The signal is the one by which the Go
// runtime preempts goroutines: it comes at any time, and its handler restarts system calls (SA_RESTART,
// signal(7)).
func Interrupt() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		if tid, err := strconv.Atoi(task.Name()); err == nil {
			_, _, _ = syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(tid), uintptr(syscall.SIGURG)) // it may have ended
		}
	}
	return nil
}

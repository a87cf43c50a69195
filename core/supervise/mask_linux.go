package supervise

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// The first argument of rt_sigprocmask(2).
const (
	sigBlock   = 0
	sigUnblock = 1
)

// sigset is the kernel's sigset_t, which has 64 signals.
type sigset uint64

func setOf(sigs []os.Signal) (set sigset) {
	for _, s := range sigs {
		set |= 1 << (uint(s.(syscall.Signal)) - 1)
	}
	return set
}

// maskSignals blocks signals in all threads, or unblocks them. A program with cgo can't do that: there it is this
// thread, whose mask an execve keeps.
func maskSignals(block bool, sigs []os.Signal) bool {
	set, how := setOf(sigs), uintptr(sigUnblock)
	if block {
		how = sigBlock
	}
	for range maskTries {
		_, _, err := syscall.AllThreadsSyscall6(syscall.SYS_RT_SIGPROCMASK, how,
			uintptr(unsafe.Pointer(&set)), 0, unsafe.Sizeof(set), 0, 0)
		if err != 0 {
			_, _, err = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, how,
				uintptr(unsafe.Pointer(&set)), 0, unsafe.Sizeof(set), 0, 0)
			return err == 0
		}
		if !block || blockedInAll(set) {
			break
		}
	}
	return true
}

// maskTries bounds how often signals are blocked anew. After such a call the runtime may start a thread, which has the
// mask that the process began with.
const maskTries = 10

// blockedInAll reports whether all threads block signals (proc_pid_status(5)). Without /proc it is not known, and true.
func blockedInAll(set sigset) bool {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		mask, err := strconv.ParseUint(proc.Status("self/task/"+thread.Name(), "SigBlk"), 16, 64)
		if err == nil && sigset(mask)&set != set {
			return false
		}
	}
	return true
}

// unblockInThread unblocks signals in this thread, and what it forks.
func unblockInThread(sigs []os.Signal) {
	set := setOf(sigs)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, sigUnblock, uintptr(unsafe.Pointer(&set)), 0, unsafe.Sizeof(set), 0, 0)
}

// sigaction is the kernel's, see rt_sigaction(2). Architectures that have no restorer have the mask there, and MIPS
// has another order.
type sigaction struct {
	handler, flags, restorer uintptr
	mask                     sigset
}

// IgnoreHangup has the kernel ignore SIGHUP, also in the next image of this process. heed undoes that. The Go runtime
// is not asked: a thread in which its handler has just begun would take the signal for one that nobody wants, and
// the process would die of it.
func IgnoreHangup() (heed func()) {
	const sigIgn = 1
	was, ignored := sigaction{}, sigaction{handler: sigIgn}
	set := func(act, old *sigaction) bool {
		_, _, err := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGHUP),
			uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(act.mask), 0, 0)
		return err == 0
	}
	if strings.HasPrefix(runtime.GOARCH, "mips") || !set(&ignored, &was) {
		return func() {}
	}
	return func() { set(&was, nil) }
}

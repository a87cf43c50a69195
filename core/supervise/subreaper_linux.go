package supervise

import "syscall"

// becomeSubreaper makes orphans of this process's descendants its children: a worker
// that an upgrade has started outlives the worker that started it (PR_SET_CHILD_SUBREAPER,
// prctl(2)). It can't fail but on kernels before 3.4; then the end of such a worker is
// heard on its link, and its exit status is not known.
func becomeSubreaper() { setSubreaper(1) }

// leaveOrphans undoes it.
func leaveOrphans() { setSubreaper(0) }

func setSubreaper(on uintptr) {
	const prSetChildSubreaper = 36
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, on, 0)
}

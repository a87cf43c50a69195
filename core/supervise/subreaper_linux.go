package supervise

import "syscall"

// becomeSubreaper has orphans of this process's descendants become its children: a worker that an upgrade has
// started outlives the worker that started it (PR_SET_CHILD_SUBREAPER, prctl(2)). It can't fail but on
// kernels before 3.4; then the end of such a worker is heard on its link, and its exit status is not known.
func becomeSubreaper() {
	const prSetChildSubreaper = 36
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0)
}

package fd

import "syscall"

// F_GETSIG and F_SETSIG (fcntl(2); include/uapi/asm-generic/fcntl.h), which package syscall lacks.
const (
	fSetSig  = 10
	fGetSig  = 11
	maxMarks = 64 // signals that there are
)

// MarkOf returns a number that belongs to the socket, so that each process sees the same that has a descriptor of it: the
// signal of F_SETSIG, which means nothing without O_ASYNC. It returns -1 where there is none.
func MarkOf(s int) int {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), fGetSig, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

// Mark changes that number.
func Mark(s int) {
	if n := MarkOf(s); n >= 0 {
		_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), fSetSig, uintptr(n%maxMarks+1))
	}
}

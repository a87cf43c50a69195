package supervise

import (
	"syscall"
	"unsafe"
)

// The first argument of setitimer(2).
const (
	timerProf = 2
	timers    = 3 // with ITIMER_REAL and ITIMER_VIRTUAL before it
)

// itimerval is the kernel's: the interval and the time left, each in seconds and microseconds.
type itimerval [4]uintptr

// setTimer sets an interval timer of this process, and returns what it was.
func setTimer(which int, to itimerval) (was itimerval) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETITIMER,
		uintptr(which), uintptr(unsafe.Pointer(&to)), uintptr(unsafe.Pointer(&was)))
	return was
}

// StopTimers stops the interval timers of this process, which an execve keeps. A CPU profile has one, and its
// signal would end the next image before that has a handler. start undoes it.
func StopTimers() (start func()) {
	var was [timers]itimerval
	for which := range was {
		was[which] = setTimer(which, itimerval{})
	}
	return func() {
		for which, t := range was {
			setTimer(which, t)
		}
	}
}

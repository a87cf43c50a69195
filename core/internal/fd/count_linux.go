package fd

import (
	"sync/atomic"
	"syscall"
)

// sizeCounts is set once the size of /proc/self/fd was seen to be the number of descriptors.
var sizeCounts atomic.Bool

// countOpen returns how many descriptors this process has open, without listing them. Since Linux 6.2 that is the size of
// the directory (stat(2) of /proc/PID/fd in proc_pid_fd(5)). It reports false where the size says something else: one more
// descriptor must make it one more, once in the life of a process.
func countOpen() (n int, ok bool) { return countIn("/proc/self/fd", &sizeCounts) }

// countIn is countOpen by a directory, of which known says what sizeCounts says.
func countIn(dir string, known *atomic.Bool) (n int, ok bool) {
	var before, after syscall.Stat_t
	if syscall.Stat(dir, &before) != nil || before.Size == 0 {
		return 0, false
	}
	if known.Load() {
		return int(before.Size), true
	}
	s, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	err = syscall.Fstat(s, &after)
	_ = syscall.Close(s)
	// Another goroutine that opens or closes a file meanwhile makes it unclear, too. The next call looks again.
	ok = err == nil && after.Size == before.Size+1
	if ok {
		known.Store(true)
	}
	return int(before.Size), ok
}

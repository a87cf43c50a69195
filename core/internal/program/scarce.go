package program

import (
	"errors"
	"syscall"
)

// MoreFiles is the remedy for a process that has too few descriptors.
const MoreFiles = "raise LimitNOFILE= (systemd), nofile (limits.conf) or ulimit -n"

// scarce returns the remedy for an error that means that the system gives no more of
// something, "" for any other.
func scarce(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "this process has no descriptors left; " + MoreFiles
	case errors.Is(err, syscall.ENFILE):
		return "the system has no descriptors left; raise fs.file-max"
	case errors.Is(err, syscall.EAGAIN):
		return "there may be no more processes; raise TasksMax= and LimitNPROC= (systemd), nproc (limits.conf) or ulimit -u"
	case errors.Is(err, syscall.ENOMEM):
		return "there is not enough memory for two processes, and an upgrade has two; raise MemoryMax= (systemd) or the container's limit"
	case errors.Is(err, syscall.ETXTBSY):
		return "it is being written to; put a new version in place by rename (mv), not by copying over the old one"
	case errors.Is(err, syscall.E2BIG):
		return "its arguments and environment are too large: on Linux one string can have 128 KiB, and all of them a quarter " +
			"of the limit of the stack (execve(2)); pass a large value in a file"
	}
	return ""
}

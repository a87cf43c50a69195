package core

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// startFiles is how many descriptors a start takes beside one for each listener: the
// control socket's two ends, the pipe for stderr with its duplicates, the pipe of the
// fork, and what looks at the program file.
const startFiles = 10

// enoughFiles returns an error if this process has too few descriptors left to start
// another one.
func (a *attempt) enoughFiles() error {
	free, limit, ok := fd.Free()
	if need := a.u.passing.count() + startFiles; ok && free < need {
		return wrap("upgrade", fmt.Errorf("%d of this process's %d descriptors are free, and it takes %d; %s: %w",
			max(free, 0), limit, need, moreFiles, syscall.EMFILE))
	}
	return nil
}

const moreFiles = "raise LimitNOFILE= (systemd), nofile (limits.conf) or ulimit -n"

// scarce says what to do about an error that means that the system gives no more of
// something, or "".
func scarce(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "this process has no descriptors left; " + moreFiles
	case errors.Is(err, syscall.ENFILE):
		return "the system has no descriptors left; raise fs.file-max"
	case errors.Is(err, syscall.EAGAIN):
		return "there may be no more processes; raise TasksMax= and LimitNPROC= (systemd), nproc (limits.conf) or ulimit -u"
	case errors.Is(err, syscall.ENOMEM):
		return "there is not enough memory for two processes, and an upgrade has two; raise MemoryMax= (systemd) or the container's limit"
	case errors.Is(err, syscall.ETXTBSY):
		return "it is being written to; put a new version in place by rename (mv), not by copying over the old one"
	case errors.Is(err, syscall.E2BIG):
		return "its arguments and environment are too large"
	}
	return ""
}

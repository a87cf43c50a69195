package core

import (
	"fmt"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/program"
)

// startFiles is how many descriptors a start takes beside one for each listener: the
// two ends of the handover socket and of the doorbell, the pipe for stderr with its
// duplicates, the pipe of the fork, and what looks at the program file.
const startFiles = 12

// enoughFiles returns an error if this process has too few descriptors left to start
// another one.
func (a *attempt) enoughFiles() error {
	free, limit, ok := fd.Free()
	if need := a.u.passing.count() + startFiles; ok && free < need {
		return wrap("upgrade", fmt.Errorf("%d of this process's %d descriptors are free, and it takes %d; %s: %w",
			max(free, 0), limit, need, program.MoreFiles, syscall.EMFILE))
	}
	return nil
}

package core

import (
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/reserve"
)

// startFiles is how many descriptors a start takes beside one for each listener: the
// two ends of the handover socket and of the doorbell, the pipe for stderr with its
// duplicates, the pipe of the fork, and what looks at the program file.
const startFiles = 12

// startThreads is how many threads the next process may have more than this one has.
const startThreads = 4

// enough returns an error if the system leaves too little for a process beside this one. Threads come first, because
// whatever follows can need one, and the Go runtime ends a process that gets none.
func (a *attempt) enough() error {
	for _, look := range []func() error{a.enoughThreads, a.enoughFiles, a.enoughMemory} {
		if err := look(); err != nil {
			return wrap("upgrade", err)
		}
	}
	return nil
}

// enoughThreads also starts the threads that this process needs until the upgrade is over: the next one might take
// all that are left.
func (a *attempt) enoughThreads() error {
	own, limits := a.u.sys.around.Threads()
	a.u.noteUnknown(&a.u.unknown.threads, limits)
	if len(limits.All) == 0 {
		return nil
	}
	need := uint64(max(own-reserve.Kept(), 0) + startThreads + reserve.Keep())
	if l, short := limits.Short(need); short {
		return fmt.Errorf("%d of the %d threads of %s are free, and an upgrade takes %d; %s: %w", l.Free, l.Max, l.Name, need, l.Remedy, syscall.EAGAIN)
	}
	reserve.KeepThreads()
	return nil
}

// enoughFiles counts the descriptors of this process, which the next one inherits.
func (a *attempt) enoughFiles() error {
	free, limit, ok := fd.Free()
	if need := a.u.passing.count() + startFiles; ok && free < need {
		return fmt.Errorf("%d of this process's %d descriptors are free, and it takes %d; %s: %w",
			max(free, 0), limit, need, program.MoreFiles, syscall.EMFILE)
	}
	return nil
}

// enoughMemory assumes that the next process takes as much as this one has.
func (a *attempt) enoughMemory() error {
	need, limits := a.u.sys.around.Memory()
	a.u.noteUnknown(&a.u.unknown.memory, limits)
	if l, short := limits.Short(need); short {
		const mib = 1 << 20
		return fmt.Errorf("%d of the %d MiB of %s are free, and the next process may take the %d MiB that this one has; %s: %w",
			l.Free/mib, l.Max/mib, l.Name, need/mib, l.Remedy, syscall.ENOMEM)
	}
	return nil
}

// unknownLimits are those that have been logged.
type unknownLimits struct{ threads, memory sync.Once }

// noteUnknown logs once which limits can't be seen.
func (u *Upgrader) noteUnknown(once *sync.Once, limits reserve.Limits) {
	if len(limits.Unknown) > 0 {
		once.Do(func() {
			u.log.Info("a limit is not known, and upgrades do not respect it", "error", errors.Join(limits.Unknown...))
		})
	}
}

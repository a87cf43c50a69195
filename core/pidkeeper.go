package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// pidKeeper keeps the pid file. All that is done with the file can block for ever, as on a network file system whose
// server is gone. So one goroutine does it, in the order in which it is asked, and the lifecycle waits for it no longer
// than timing.PIDFile. When that has passed once it does not wait again until the file system answers. Its methods do
// nothing on nil.
type pidKeeper struct {
	path  string
	log   *slog.Logger
	tasks chan pidTask
	left  atomic.Int32  // tasks that have not ended
	late  atomic.Bool   // one was waited for in vain, and some are left since
	quit  chan struct{} // closed when no more tasks come
	ended chan struct{} // closed when the goroutine has ended

	// The goroutine's own.

	prepared *pidfile.File // names the service, and is not in place yet; nil without one
	held     *pidfile.File // in place, and locked; nil without one
}

type pidTask struct {
	do   func() error
	done chan error // has room for the error
}

// pidTasks is how many tasks may wait for a file system that does not answer.
const pidTasks = 16

var errPIDFileLate = fmt.Errorf("the file system has not answered for %v", timing.PIDFile)

// keepPIDFile makes the keeper of the pid file at path: nil without one.
func keepPIDFile(path string, log *slog.Logger) *pidKeeper {
	if path == "" {
		return nil
	}
	k := &pidKeeper{path: path, log: log, tasks: make(chan pidTask, pidTasks), quit: make(chan struct{}), ended: make(chan struct{})}
	go k.run()
	return k
}

func (k *pidKeeper) run() {
	defer close(k.ended)
	for {
		select {
		case t := <-k.tasks:
			k.carryOut(t)
		case <-k.quit:
			for len(k.tasks) > 0 {
				k.carryOut(<-k.tasks)
			}
			offMainThread(func() {
				k.discardPrepared()
				k.held.Release()
			})
			return
		}
	}
}

func (k *pidKeeper) carryOut(t pidTask) {
	offMainThread(func() { t.done <- t.do() })
	if k.left.Add(-1) == 0 && k.late.Swap(false) {
		k.log.Info("the file system of the pid file answers again", "path", k.path)
	}
}

// ask has the goroutine do something. What comes from the channel is its error. Nothing comes after the end. It reports
// false if there are too many tasks already.
func (k *pidKeeper) ask(do func() error) (done <-chan error, ok bool) {
	t := pidTask{do, make(chan error, 1)}
	k.left.Add(1)
	select {
	case k.tasks <- t:
		return t.done, true
	default:
		k.left.Add(-1)
		return nil, false
	}
}

// now asks, and waits for a while. Failed is what the log says if it does not work, or not in time.
func (k *pidKeeper) now(failed string, do func() error) {
	stuck := k.late.Load()
	done, ok := k.ask(func() error {
		err := do()
		if err != nil {
			k.log.Error(failed, "path", k.path, "error", err)
		}
		return err
	})
	switch {
	case !ok || stuck:
	case k.inTime(done):
		return
	case k.noteLate():
	default:
		return // it has ended just now
	}
	k.log.Error(failed, "path", k.path, "error", errPIDFileLate)
}

// noteLate notes that a task was waited for in vain. It reports false if all have ended meanwhile.
func (k *pidKeeper) noteLate() bool {
	k.late.Store(true)
	if k.left.Load() == 0 {
		k.late.Store(false)
		return false
	}
	return true
}

// inTime waits for a while, and reports whether the task has ended.
func (k *pidKeeper) inTime(done <-chan error) bool {
	t := time.NewTimer(timing.PIDFile)
	defer t.Stop()
	select {
	case <-done: //nolint:errcheck // whoever has asked for the task has logged its error
	case <-k.ended:
	case <-t.C:
		return false
	}
	return true
}

// prepare prepares the file for the process that gets ready, and returns what is in the way. It waits for life to end,
// and no longer than limit.
func (k *pidKeeper) prepare(life context.Context, pid int, limit time.Duration) error {
	if k == nil {
		return nil
	}
	done, _ := k.ask(func() error { // nothing comes if there is no room
		err := k.makePrepared(pid)
		if err == nil {
			k.lookAtDirectory()
		}
		return err
	})
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-life.Done():
		return ErrStopped
	case <-t.C:
		k.noteLate()
		return fmt.Errorf("pid file %s: its file system has not answered for %v; choose a path on a local one", k.path, limit)
	}
}

// prepareBack prepares the file for the case that this process serves again: a disk that is full later must not be in
// the way.
func (k *pidKeeper) prepareBack(pid int) {
	if k != nil {
		k.now("the pid file could not be restored after a rollback", func() error { return k.makePrepared(pid) })
	}
}

// name has the file name this service, by what was prepared if there is such a file.
func (k *pidKeeper) name(pid int) {
	if k != nil {
		k.now(notNamed, func() error { return k.put(pid) })
	}
}

const notNamed = "the pid file does not name this process"

// restore has the file name this service if it names nothing, or one of the processes that are not it.
func (k *pidKeeper) restore(pid int, others ...int) {
	if k == nil {
		return
	}
	k.now(notNamed, func() error {
		if named, err := pidfile.Read(k.path); err == nil && !slices.Contains(others, named) {
			return nil // it is in order, or another process's
		}
		return k.put(pid)
	})
}

// correct has the file name this service, if it does not.
func (k *pidKeeper) correct(pid int) {
	if k == nil {
		return
	}
	k.now(notNamed, func() error {
		if named, err := pidfile.Read(k.path); err == nil && named == pid {
			return nil
		}
		return k.put(pid)
	})
}

// nameOther has the file name a process that does not know it.
func (k *pidKeeper) nameOther(pid int) {
	if k != nil {
		k.now("the pid file still names this process", func() error { return pidfile.Write(k.path, pid) })
	}
}

// discard removes what was prepared.
func (k *pidKeeper) discard() {
	if k != nil {
		k.now("the prepared pid file is left beside the pid file", func() error { k.discardPrepared(); return nil })
	}
}

// release says by the lock that this process does not serve any more. Nobody waits for that.
func (k *pidKeeper) release() {
	if k != nil {
		_, _ = k.ask(func() error { k.held.Release(); return nil })
	}
}

// remove removes the file if it names pid.
func (k *pidKeeper) remove(pid int) {
	if k == nil {
		return
	}
	k.now("the pid file could not be removed; remove it by hand", func() error { return pidfile.Remove(k.path, pid) })
}

// end ends the goroutine, with what was asked before.
func (k *pidKeeper) end() {
	if k == nil {
		return
	}
	close(k.quit)
	if !k.late.Load() {
		t := time.NewTimer(timing.PIDFile)
		defer t.Stop()
		select {
		case <-k.ended:
		case <-t.C:
		}
	}
}

// These are the goroutine's.

// lookAtDirectory warns of a directory in which somebody else can replace the file: an operator, who may be root,
// signals the process that it names.
func (k *pidKeeper) lookAtDirectory() {
	var foreign *owner.Error
	if err := owner.Dir(filepath.Dir(k.path)); errors.As(err, &foreign) {
		k.log.Warn("somebody else can replace the pid file, and whoever signals by it signals another process then", "path", k.path, "error", err)
	}
}

func (k *pidKeeper) makePrepared(pid int) error {
	k.discardPrepared()
	f, err := pidfile.Prepare(k.path, pid)
	if err == nil {
		k.prepared = f
	}
	return err
}

func (k *pidKeeper) put(pid int) error {
	if k.prepared == nil {
		if err := k.makePrepared(pid); err != nil {
			return err
		}
	}
	f := k.prepared
	k.prepared = nil
	if err := f.Commit(); err != nil {
		return err
	}
	k.held.Release()
	k.held = f
	return nil
}

func (k *pidKeeper) discardPrepared() {
	if k.prepared != nil {
		k.prepared.Discard()
		k.prepared = nil
	}
}

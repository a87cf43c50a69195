//go:build unix

package core

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// hang has the file system of the pid file not answer, until the test ends it.
func (k *pidKeeper) hang() (answer func()) {
	answers := make(chan struct{})
	_, _ = k.ask(func() error { <-answers; return nil })
	return func() { close(answers) }
}

// TestPIDKeeper_WaitsOnceForAFileSystemThatHangs and for a short time.
func TestPIDKeeper_WaitsOnceForAFileSystemThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log procgroup.Output
		k := keepPIDFile("/remote/app.pid", slog.New(slog.NewTextHandler(&log, nil)))
		answer := k.hang()
		did := 0
		do := func() error { did++; return nil }
		for _, want := range []time.Duration{timing.PIDFile, 0, 0} {
			began := time.Now()
			k.now("it is not done", do)
			expectEqual(t, "the wait", time.Since(began), want)
		}
		expectEqual(t, "what the log says", strings.Count(log.String(), `msg="it is not done" path=/remote/app.pid error="the file system has not answered`), 3)
		answer()
		synctest.Wait()
		expectEqual(t, "what is done when it answers", did, 3)
		expectText(t, log.String(), "answers again")
		answer = k.hang()
		began := time.Now()
		k.now("again", do)
		expectEqual(t, "the wait for the next time", time.Since(began), timing.PIDFile)
		k.end()
		expectEqual(t, "the wait at the end", time.Since(began), timing.PIDFile)
		answer()
		<-k.ended
		expectEqual(t, "what is done before the end", did, 4)
	})
}

// TestPIDKeeper_TakesNoMoreThanItHasRoomFor while nothing is done.
func TestPIDKeeper_TakesNoMoreThanItHasRoomFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log procgroup.Output
		k := keepPIDFile("/remote/app.pid", slog.New(slog.NewTextHandler(&log, nil)))
		answer := k.hang()
		synctest.Wait()
		did := 0
		for range pidTasks + 1 {
			k.now("it is not done", func() error { did++; return nil })
		}
		k.release() // has no room either
		stopped, stop := context.WithCancel(t.Context())
		stop()
		expectError(t, k.prepare(stopped, 100, time.Hour), ErrStopped)
		answer()
		synctest.Wait()
		expectText(t, log.String(), "answers again") // what had no room is not waited for
		k.end()
		<-k.ended
		expectEqual(t, "what is done", did, pidTasks)
	})
}

// TestPIDKeeper_LeavesNothingButTheFile at its end, which another process may remove.
func TestPIDKeeper_LeavesNothingButTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	k := keepPIDFile(path, slog.New(slog.DiscardHandler))
	k.name(100)
	k.prepareBack(100)
	k.prepareBack(100)
	_, held, err := pidfile.Look(path)
	must(t, err)
	k.end()
	files, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	expectEqual(t, "files", len(files), 1)
	pid, heldAfter, err := pidfile.Look(path)
	must(t, err)
	expectEqual(t, "the process in it", pid, 100)
	expectEqual(t, "it is held before the end, and after", [2]bool{held, heldAfter}, [2]bool{true, false})
}

// TestPIDFile_OnAFileSystemThatHangsHoldsUpNobody: neither an upgrade, its rollback, nor a stop.
func TestPIDFile_OnAFileSystemThatHangsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	var log procgroup.Output
	path := filepath.Join(t.TempDir(), "app.pid")
	u := playNew(t, (*playedNew).rejectsItself, WithProbation(time.Minute), WithPIDFile(path), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	answer := u.pid.hang()
	u.pid.late.Store(true) // it was waited for
	u.expectUpgrade(t, ErrRolledBack)
	u.expectAccepts(t)
	expectText(t, log.String(), notNamed, path)
	u.requestStop(stopRequest{})
	u.expectDone(t, nil)
	answer()
	<-u.pid.ended
}

// TestPIDFile_FIFOInItsPlaceHoldsUpNobody: whoever can write the directory can put one there.
func TestPIDFile_FIFOInItsPlaceHoldsUpNobody(t *testing.T) {
	t.Parallel()
	var log procgroup.Output
	path := filepath.Join(t.TempDir(), "app.pid")
	u := playNew(t, (*playedNew).rejectsItself, WithProbation(time.Minute), WithPIDFile(path), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	must(t, os.Remove(path))
	must(t, syscall.Mkfifo(path, 0o666))
	u.expectUpgrade(t, ErrRolledBack)
	u.expectAccepts(t)
	u.requestStop(stopRequest{})
	u.expectDone(t, nil)
	const why = "there is a special file (p---------) in its place"
	expectText(t, log.String(), "the pid file could not be restored after a rollback", notNamed, "the pid file could not be removed", path, why)
	expectEqual(t, "times that the log says why", strings.Count(log.String(), why) >= 3, true)
}

// TestReady_FailsBeforeTheHandoverForThePIDFile: the old process serves, and its file stays.
func TestReady_FailsBeforeTheHandoverForThePIDFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	must(t, syscall.Mkfifo(path, 0o666))
	u, old := playOld(t, WithPIDFile(path))
	u.AttachTest(t, notFound())
	ready := make(chan error, 1)
	go func() { ready <- u.Ready() }()
	old.hears(wire.Failed)
	expectText(t, (<-ready).Error(), path, "remove it or choose another path")
	awaitClosed(t, u.Done())
}

// TestReady_DoesNotWaitForThePIDFileForEver: for as long as for a ready check, and not in a process that stops.
func TestReady_DoesNotWaitForThePIDFileForEver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	t.Run("limit", func(t *testing.T) {
		u := NewTest(t, WithPIDFile(path), WithReadyTimeout(2*time.Millisecond))
		defer u.pid.hang()()
		expectText(t, u.Ready().Error(), path, "has not answered for 1ms; choose a path on a local one")
	})
	t.Run("stop", func(t *testing.T) {
		u := NewTest(t, WithPIDFile(path))
		answer := u.pid.hang()
		u.pid.late.Store(true)
		ready := make(chan error, 1)
		go func() { ready <- u.Ready() }()
		u.requestStop(stopRequest{})
		expectError(t, <-ready, ErrStopped)
		u.expectDone(t, nil)
		answer()
		<-u.pid.ended
		files, err := os.ReadDir(filepath.Dir(path))
		must(t, err)
		expectEqual(t, "files left of what was prepared late", len(files), 0)
	})
}

// TestReady_LeavesNothingOfThePIDFileWhenItFails of what it has prepared.
func TestReady_LeavesNothingOfThePIDFileWhenItFails(t *testing.T) {
	t.Parallel()
	pidFile, expectKept := otherPIDFile(t)
	u, old := playOld(t, WithPIDFile(pidFile))
	u.AttachTest(t, notFound())
	ready := old.hearsReady(u)
	old.says(wire.Abort, wire.Because("too late"))
	expectError(t, <-ready, ErrAborted)
	files, err := os.ReadDir(filepath.Dir(pidFile))
	must(t, err)
	expectEqual(t, "files in the directory", len(files), 1)
	expectKept()
}

package core

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// A second instance would take over the pid file of the first. From then on "kill" and "gracex --pid-file" would mean
// different processes, and the one that the operator has started first could not be named any more.

// refuseSecond returns ErrSecondInstance if the pid file names a process of this service that serves.
func (st *startup) refuseSecond(path string, log *slog.Logger) error {
	if path == "" || st.follows() {
		return nil
	}
	return lookForFirst(path, timing.PIDFile, timing.Look, log)
}

// follows reports whether another process has started this one to take part in its service, or to take that over.
func (st *startup) follows() bool {
	return st.graceful || st.link != nil || st.start != nil && (st.start.Parent != nil || st.start.Master != nil)
}

// lookForFirst looks for another instance. It waits for the file system as long as look, and then for the process that the
// file names as long as ask. What is not known by then is in nobody's way.
func lookForFirst(path string, look, ask time.Duration, log *slog.Logger) error {
	const unknown = "it is not known whether another instance has the pid file, because "
	var pid, made int
	var held bool
	var err error
	if !within(look, func() {
		pid, held, err = pidfile.Look(path)
		made, _ = owner.Of(path)
	}) {
		log.Warn(unknown+"its file system has not answered", "path", path, "waited", look)
		return nil
	}
	switch {
	case errors.Is(err, fs.ErrPermission): // a profile can allow to write and not to read
		log.Info(unknown+"it can't be read", "path", path, "error", err)
		return nil
	case err != nil || !isOther(pid) || !isOwners(pid, made): // without a file, or if Ready says what is wrong with it, there is none
		return nil //nolint:nilerr // it is no reason to refuse the start
	}
	if !(held && proc.ShowsPrograms && proc.RunsThisProgram(pid)) {
		answers := false
		known := within(ask, func() { answers, err = answersFor(path, pid, ask) })
		if !known || errors.Is(err, control.ErrHangs) || errors.Is(err, context.DeadlineExceeded) {
			log.Warn(unknown+"the process that it names has not answered", "path", path, "pid", pid, "waited", ask)
			return nil
		}
		if !answers {
			return nil
		}
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return because(ErrSecondInstance, fmt.Errorf("pid file %s names process %d, which serves: upgrade it (gracex upgrade --pid %d), stop it first, "+
		"or give this instance another path by WithPIDFile", path, pid, pid))
}

// within calls f, which can be held up by a file system, and reports whether it has returned in time.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go offMainThread(func() {
		f()
		close(done)
	})
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// isOther reports whether the number is that of a process that lives here, and has not started this one.
func isOther(pid int) bool {
	if pid == os.Getpid() || !proc.Alive(pid) || proc.IsAncestor(pid) {
		return false
	}
	theirs, ours := proc.PIDNamespaceOf(pid), proc.PIDNamespace()
	return theirs == 0 || ours == 0 || theirs == ours
}

// isOwners reports whether a process is root's, this user's, or that of made, the user who has made the pid file. Any
// other user can lock the file, and answer as the process as soon as one of his own has got the number.
func isOwners(pid, made int) bool {
	uid, known := proc.Owner(pid)
	return !known || slices.Contains([]int{0, os.Geteuid(), made}, uid)
}

// answersFor reports whether an app of which the process is one serves with this pid file. The error says why that is not
// known. A process that drains has closed its control socket, or says that it does.
func answersFor(path string, pid int, limit time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := control.Find(ctx, control.Query{PIDFile: path})
	if err != nil {
		return false, err
	}
	st, err := c.Status(ctx)
	if err != nil || st.Elsewhere() || !st.Has(pid) || !sameFile(st.PIDFile, path) {
		return false, err
	}
	for _, g := range st.Generations {
		var s State
		if g.PID == st.PID && s.UnmarshalText([]byte(g.State)) == nil && s.Serving() {
			return true, nil
		}
	}
	return false, nil
}

func sameFile(a, b string) bool {
	fa, err := os.Stat(a)
	fb, berr := os.Stat(b)
	return err == nil && berr == nil && os.SameFile(fa, fb)
}

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

// refuseSecond returns ErrSecondInstance if the pid file names a process of this service that serves. It waits for the
// file system and for that process for a while. What is not known by then is in nobody's way.
func (st *startup) refuseSecond(path string, log *slog.Logger) error {
	if path == "" || st.follows() {
		return nil
	}
	looked := make(chan error, 1)
	go offMainThread(func() { looked <- lookForFirst(path, log) })
	t := time.NewTimer(timing.Look)
	defer t.Stop()
	select {
	case err := <-looked:
		return err
	case <-t.C:
		log.Warn("it is not known whether another instance has the pid file, because its file system has not answered", "path", path, "waited", timing.Look)
		return nil
	}
}

// follows reports whether another process has started this one to take part in its service, or to take that over.
func (st *startup) follows() bool {
	return st.graceful || st.link != nil || st.start != nil && (st.start.Parent != nil || st.start.Master != nil)
}

// lookForFirst looks for another instance.
func lookForFirst(path string, log *slog.Logger) error {
	pid, held, err := pidfile.Look(path)
	switch {
	case errors.Is(err, fs.ErrPermission): // a profile can allow to write and not to read
		log.Info("it is not known whether another instance has the pid file, because it can't be read", "path", path, "error", err)
		return nil
	case err != nil || !isOther(pid) || !isOwners(path, pid): // without a file, or if Ready says what is wrong with it, there is none
		return nil //nolint:nilerr // it is no reason to refuse the start
	}
	if !(held && proc.ShowsPrograms && proc.RunsThisProgram(pid)) && !answersFor(path, pid) {
		return nil
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return because(ErrSecondInstance, fmt.Errorf("pid file %s names process %d, which serves: upgrade it (gracex upgrade --pid %d), stop it first, "+
		"or give this instance another path by WithPIDFile", path, pid, pid))
}

// isOther reports whether the number is that of a process that lives here, and has not started this one.
func isOther(pid int) bool {
	if pid == os.Getpid() || !proc.Alive(pid) || proc.IsAncestor(pid) {
		return false
	}
	theirs, ours := proc.PIDNamespaceOf(pid), proc.PIDNamespace()
	return theirs == 0 || ours == 0 || theirs == ours
}

// isOwners reports whether a process is root's, this user's, or that of the user who has made the pid file. Any other
// user can lock the file, and answer as the process as soon as one of his own has got the number.
func isOwners(path string, pid int) bool {
	uid, known := proc.Owner(pid)
	made, _ := owner.Of(path)
	return !known || slices.Contains([]int{0, os.Geteuid(), made}, uid)
}

// answersFor reports whether an app of which the process is one serves with this pid file. A process that drains has
// closed its control socket, or says that it does.
func answersFor(path string, pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timing.Look)
	defer cancel()
	c, err := control.Find(ctx, control.Query{PIDFile: path})
	if err != nil {
		return false
	}
	st, err := c.Status(ctx)
	if err != nil || st.Elsewhere() || !st.Has(pid) || !sameFile(st.PIDFile, path) {
		return false
	}
	for _, g := range st.Generations {
		var s State
		if g.PID == st.PID && s.UnmarshalText([]byte(g.State)) == nil && s.Serving() {
			return true
		}
	}
	return false
}

func sameFile(a, b string) bool {
	fa, err := os.Stat(a)
	fb, berr := os.Stat(b)
	return err == nil && berr == nil && os.SameFile(fa, fb)
}

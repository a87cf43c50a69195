package core

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/spawn"
)

// WithWorkingDirectory sets the working directory in which the next process is started, by an upgrade and by a
// supervisor after a crash. It has to be an absolute path, and New fails with another one. If the directory does
// not exist at an upgrade, the upgrade fails. This process stays where it is.
//
// Left out or empty, it is the working directory of the first start. That is followed by the name that the launch
// path has for it, or else $PWD: a program that was started as /srv/shop/current/shop in /srv/shop/current goes on
// in the directory to which current leads then.
func WithWorkingDirectory(dir string) Option {
	return func(c *config) {
		c.workDir, c.workDirErr = dir, nil
		if dir != "" && !filepath.IsAbs(dir) {
			c.workDirErr = fmt.Errorf("%sWithWorkingDirectory(%q): the path is not absolute; give an absolute one", prefix, dir)
		}
	}
}

// WithEnvironment sets the function that makes the environment of the new process in an upgrade. It runs in the old
// process, after the OnPreFork hooks. It receives the environment that the new process would have without it, as
// "NAME=value", and returns the one that it gets. Of two assignments to a name the last one counts. An invalid one
// and a panic veto the upgrade (ErrVetoed).
//
// The new process passes its own environment on in the next upgrade. After a rollback the old process goes on with
// its own. Left out or nil, the environment is that of the first start, or what "gracex upgrade" has changed it
// to. PWD always names the working directory.
func WithEnvironment(change func(old []string) []string) Option {
	return func(c *config) { c.environment = change }
}

// Upgrading reports whether an upgrade has started this process, so that an old process serves until this one is
// ready. It can be called before New, and the answer never changes. A program that does something once for the
// whole service, such as becoming a daemon, leaves it out in a process that an upgrade has started:
//
//	if !core.Upgrading() {
//		daemonize()
//	}
//
// It is false in the first process of a service, and in a worker that a supervisor or a foreign master has started,
// also after a crash. It is true in a process that replaces one of another program.
func Upgrading() bool { return boot.upgrading() }

func (st *startup) upgrading() bool {
	return st.graceful || st.start != nil && st.start.Parent != nil
}

// launchChange is what a request for an upgrade changes in the start of the new process.
type launchChange struct {
	env  []string // in place of the environment; nil: it stays
	set  []string // in the environment
	args []string // in place of the arguments; nil: they stay

	release string // that is started; empty: the one at the launch path
	check   bool   // the new process is only to become ready
}

// launch is how the next process is started if the request changes nothing.
func (u *Upgrader) launch() spawn.Launch {
	l := u.boot.launch
	if u.cfg.workDir != "" {
		l.Dir, l.Fixed = u.cfg.workDir, true
	}
	l.Trusted = u.cfg.trusted
	return l
}

// prepare decides how the new process is started.
func (a *attempt) prepare(ctx context.Context) error {
	l := a.u.launch()
	if a.change.args != nil {
		l.Argv = append(slices.Clone(l.Argv[:min(1, len(l.Argv))]), a.change.args...)
	}
	if a.change.env != nil {
		l.Env = spawn.Renew(l.Env, a.change.env)
	}
	if a.change.set != nil {
		l.Env = spawn.SetEnv(l.Env, spawn.Public(a.change.set))
	}
	if change := a.u.cfg.environment; change != nil {
		err := runHook(ctx, func(context.Context) error {
			l.Env = spawn.SetEnv(nil, spawn.Public(change(slices.Clone(l.Env))))
			return spawn.CheckEnv(l.Env)
		})
		if err != nil {
			return because(ErrVetoed, fmt.Errorf("WithEnvironment: %w", err))
		}
	}
	if a.change.release != "" {
		var err error
		if l, err = toRelease(l, a.change.release); err != nil {
			return err
		}
	}
	var why string
	if l, why = l.InDir(a.u.release); why != "" {
		a.u.warn(why)
	}
	a.launch = l.BehindWrapper(a.u.release)
	return nil
}

// toRelease is how a release is started.
func toRelease(l spawn.Launch, name string) (spawn.Launch, error) {
	l, err := l.To(name)
	if errors.Is(err, spawn.ErrScript) {
		return l, because(ErrUnsupported, err)
	}
	return l, noRelease(err)
}

// noRelease is err as an ErrNoRelease, if it is one of package spawn.
func noRelease(err error) error {
	if !errors.Is(err, spawn.ErrNoRelease) {
		return err
	}
	return &refusal{ErrNoRelease, err, prefix + err.Error()}
}

// findRelease returns an error if the release can't be started, or that is not this process's to do.
func (u *Upgrader) findRelease(name string) error {
	if m := u.boot.master(); m != nil && !masterGone(m) {
		return errMastered(m)
	}
	_, err := toRelease(u.launch(), name)
	return err
}

// warnOfMissed warns of a part of a deployment that the next process is without.
func (a *attempt) warnOfMissed(path string) {
	if text := a.u.release.Missed(path, a.launch); text != "" {
		a.u.warn(text)
	}
}

// warn logs a likely mistake, which does not end an upgrade, and tells those who follow that.
func (u *Upgrader) warn(text string) {
	u.log.Warn("upgrade: " + text)
	u.noteText(control.StepWarning, 0, text)
}

// maxNames bounds how many variables a warning names.
const maxNames = 10

// compareEnvironment warns if the environment of the one who asks for an upgrade is a newer one of this unit.
// Another program's differs always, and says nothing.
func (u *Upgrader) compareEnvironment(given []string) {
	const invocation = "INVOCATION_ID" // systemd.exec(5): one for all processes of a run of a unit
	id := u.boot.launch.Getenv(invocation)
	if id == "" || !slices.Contains(given, invocation+"="+id) || u.cfg.environment != nil {
		return
	}
	names := spawn.Changed(u.boot.launch.Env, given)
	if len(names) == 0 {
		return
	}
	more := ""
	if n := len(names) - maxNames; n > 0 {
		names, more = names[:maxNames], fmt.Sprintf(" and %d more", n)
	}
	u.warn(fmt.Sprintf("the unit's environment has changed since the start, and the new process does not get the change "+
		"(%s%s); pass it on by gracex upgrade --env, or keep the old one without this warning by --env=false",
		strings.Join(names, ", "), more))
}

// changeOf reads the wishes of a client for the start of the new process.
func changeOf(s control.StartOptions) (launchChange, error) {
	for _, env := range [][]string{s.Env, s.SetEnv} {
		if err := spawn.CheckEnv(env); err != nil {
			return launchChange{}, fmt.Errorf("the environment: %w", err)
		}
	}
	if err := spawn.CheckArgs(s.Args); err != nil {
		return launchChange{}, err
	}
	if len(s.CompareEnv) > 0 && (s.Env != nil || s.SetEnv != nil) {
		return launchChange{}, errors.New("compare_env excludes env and set_env")
	}
	return launchChange{env: s.Env, set: s.SetEnv, args: s.Args}, nil
}

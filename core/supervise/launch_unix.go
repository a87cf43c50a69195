//go:build unix

package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// launchOf is how the first worker is started.
func launchOf(cfg Config, env []string) spawn.Launch {
	l := spawn.Launch{Argv: cfg.Argv, Env: env, Umask: -1}
	l.NameDir()
	if cfg.Dir != "" {
		l.Dir, l.Fixed = cfg.Dir, true
	}
	return l
}

// maxLaunch bounds what a worker says of its start, in bytes: an environment and arguments have 6 MiB at most
// (execve(2)), and a third more in this form.
const maxLaunch = 16 << 20

// takeLaunch takes a part of what the worker, which serves for good, says of how it was started: the next one is
// started likewise. It is the supervisor that starts it, with its own rights. So a part from a process that has fewer
// is not believed.
func (m *supervisor) takeLaunch(w *worker, msg wire.LaunchMsg, believed bool) {
	w.unbelieved = w.unbelieved || !believed
	if w.launch = append(w.launch, msg.Part...); len(w.launch) > maxLaunch {
		w.launch = nil
		return
	}
	if msg.More {
		return
	}
	l, err := spawn.ParseLaunch(w.launch)
	believed = !w.unbelieved
	w.launch, w.unbelieved = nil, false
	if err != nil || len(l.Argv) == 0 || l.Argv[0] == "" {
		m.cfg.Log.Error("a worker's start is not understood; after a crash the next one is started as the one before it", "worker", w.pid, "error", err)
		return
	}
	if !believed {
		m.cfg.Log.Warn("a worker is not known to run as root or as the supervisor's user, so it does not decide how the next one "+
			"is started: after a crash that is started as the one before it; restart the service if its arguments or its "+
			"environment have changed", "worker", w.pid)
		m.launch.Trusted = m.launch.Trusted || l.Trusted
		return
	}
	m.launch = l
	w.fromRelease = spawn.ReleaseOfProcess(w.pid)
	m.soak.servesForGood(w.fromRelease, m.cfg.Soak)
}

// find returns how the next worker is started, and its program.
func (m *supervisor) find() (l spawn.Launch, path string, err error) {
	l, why := m.launch.InDir(m.release)
	if why != "" {
		m.cfg.Log.Warn(why)
	}
	if fi, err := os.Stat(l.Dir); l.Dir != "" && (err != nil || !fi.IsDir()) {
		return l, "", errors.New(program.GoneDir(l.Dir, ""))
	}
	if l = m.instead(l); l.IsOfRelease() {
		if path, err = l.File(); err == nil {
			err = check(path)
		}
		return l, path, err
	}
	name := l.Argv[0]
	if l.Program == "" && !strings.Contains(name, "/") {
		if path, ok := l.LookPath(name); ok {
			return l, path, nil
		}
		if !m.cfg.Own {
			return l, "", fmt.Errorf("%w; give a path, such as ./%s", &exec.Error{Name: name, Err: exec.ErrNotFound}, name)
		}
	}
	if path, err = l.Path(); err == nil {
		err = check(path)
	}
	return l, path, err
}

// check looks whether a program is at the path. The error has a remedy.
func check(path string) error {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w; put the program there", err)
	case fi.IsDir():
		return fmt.Errorf("%s is a directory; name the program in it", path)
	case fi.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not executable; chmod +x it", path)
	}
	return nil
}

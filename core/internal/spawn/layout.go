package spawn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/text"
)

// Layout is a folder with the releases of a program: Dir/current is a symlink to Dir/releases/<name>. The launch path
// leads through that symlink, so the release that it names is the one which the next start gets.
type Layout struct {
	Dir  string // without symlinks
	Next string // the release to which current leads
	rest string // the program's path, or another one, below a release; empty: the release itself
}

const (
	currentLink = "current"
	releasesDir = "releases"
	// maxSymlinks bounds the symlinks on a path, as the kernel does (path_resolution(7)).
	maxSymlinks = 40
)

var (
	// ErrNoRelease means that a release can't be started, because there is none of this name, or no layout.
	ErrNoRelease = errors.New("no such release")
	// ErrScript means that a release can't be started by its name, because a script is there.
	ErrScript = errors.New("a script can't be started as a release")
)

// CheckName returns an error for what is not the name of a release: it is one name of a directory.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > text.MaxName || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%w: %s is no name of a release; give the name of a directory in %s/, without a path",
			ErrNoRelease, text.Printable(fmt.Sprintf("%q", text.Cut(name, text.MaxName))), releasesDir)
	}
	return nil
}

// path is the place of a path below another release.
func (y Layout) path(release, rest string) string {
	return strings.TrimSuffix(filepath.Join(y.Dir, releasesDir, release)+string(filepath.Separator)+rest, string(filepath.Separator))
}

// layoutOf follows the path as the kernel does, to the first symlink that is current of a layout. What is behind that
// need not exist.
func layoutOf(path string) (Layout, bool) {
	if !filepath.IsAbs(path) {
		return Layout{}, false
	}
	const slash = string(filepath.Separator)
	at, links := slash, 0 // at has no symlinks
	for names := split(path); len(names) > 0; {
		name := names[0]
		names = names[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		here := filepath.Join(at, name)
		target, err := os.Readlink(here)
		if err != nil { // no symlink, or it is not there
			at = here
			continue
		}
		if name == currentLink {
			if next, ok := leadsToRelease(at, target); ok {
				return Layout{Dir: at, Next: next, rest: strings.Join(names, slash)}, true
			}
		}
		if links++; links > maxSymlinks {
			break
		}
		if filepath.IsAbs(target) {
			at = slash
		}
		names = append(split(target), names...)
	}
	return Layout{}, false
}

func split(path string) (names []string) {
	for _, s := range strings.Split(path, string(filepath.Separator)) {
		if s != "" && s != "." {
			names = append(names, s)
		}
	}
	return names
}

// leadsToRelease reports whether target, where a symlink in dir leads, is a place in dir/releases.
func leadsToRelease(dir, target string) (name string, ok bool) {
	target = strings.TrimRight(target, string(filepath.Separator))
	if !filepath.IsAbs(target) {
		target = dir + string(filepath.Separator) + target
	}
	above, name := filepath.Split(target)
	if CheckName(name) != nil {
		return "", false
	}
	theirs, err := os.Stat(above)
	if err != nil {
		return "", false
	}
	ours, err := os.Stat(filepath.Join(dir, releasesDir))
	return name, err == nil && os.SameFile(ours, theirs)
}

// layoutOfFile finds the layout around a file in a release. The path has no symlinks.
func layoutOfFile(file string) (y Layout, name string, ok bool) {
	const slash = string(filepath.Separator)
	names := split(file)
	for i := len(names) - 3; i >= 0; i-- {
		if names[i] != releasesDir {
			continue
		}
		dir := slash + strings.Join(names[:i], slash)
		target, err := os.Readlink(filepath.Join(dir, currentLink))
		if err != nil {
			continue
		}
		if next, ok := leadsToRelease(dir, target); ok {
			return Layout{Dir: dir, Next: next, rest: strings.Join(names[i+2:], slash)}, names[i+1], true
		}
	}
	return Layout{}, "", false
}

// ReleaseOf returns the name of the release that holds a file, a path without symlinks; empty outside a layout.
func ReleaseOf(file string) string {
	_, name, _ := layoutOfFile(strings.TrimSuffix(file, " (deleted)")) // proc_pid_exe(5)
	return name
}

// ReleaseOfProcess returns the name of the release that another process runs; empty where the system does not show it, or
// outside a layout.
func ReleaseOfProcess(pid int) string {
	exe, ok := proc.Executable(pid)
	if !ok {
		return ""
	}
	file, err := os.Readlink(exe)
	if err != nil {
		return ""
	}
	return ReleaseOf(file)
}

// OwnRelease returns the name of the release that holds the file of this process; empty outside a layout.
func OwnRelease() string {
	file, err := os.Executable()
	if err != nil {
		return ""
	}
	return ReleaseOf(file)
}

// layout is the one that holds the program. A process that has more rights than its caller does not believe the
// launch path, and its own file is in a release.
func (l Launch) layout() (Layout, error) {
	path, err := l.Path()
	if err != nil {
		return Layout{}, err
	}
	y, ok := layoutOf(path)
	if l.Raised {
		y, _, ok = layoutOfFile(path)
	}
	if !ok || y.rest == "" {
		return Layout{}, fmt.Errorf("%w: %s, from which the next process is started, does not lead through a symlink %s to a directory in %s/ beside it; "+
			"start the program as DIR/%s/PROGRAM, or by a symlink to that, or upgrade without the name of a release",
			ErrNoRelease, path, currentLink, releasesDir, currentLink)
	}
	return y, nil
}

// NextRelease returns the name of the release that the next start gets; empty outside a layout.
func (l Launch) NextRelease() string {
	if y, err := l.layout(); err == nil {
		if l.Raised {
			return ReleaseOf(l.Program)
		}
		return y.Next
	}
	path, err := l.Path()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return ""
	}
	return ReleaseOf(path)
}

// To returns l for one start of the release with this name. The program in it is executed, and its place of a
// working directory behind current is the working directory. The names of both stay what they are, so the start after
// it follows current.
func (l Launch) To(name string) (Launch, error) {
	y, err := l.layout()
	if err != nil {
		return l, err
	}
	if err := CheckName(name); err != nil {
		return l, err
	}
	if fi, err := os.Lstat(y.path(name, "")); err != nil || !fi.IsDir() {
		return l, fmt.Errorf("%w: %s is no directory in %s; put the release there, or give the name of one that is there",
			ErrNoRelease, text.Printable(fmt.Sprintf("%q", name)), filepath.Join(y.Dir, releasesDir))
	}
	l.file = y.path(name, y.rest)
	if program.Interpreter(l.file) != "" {
		return l, fmt.Errorf("%w: %s has its own path as $0, and so would the start after it, which is to follow %s; "+
			"put the program itself there, or switch %s first and upgrade without the name of a release", ErrScript, l.file, currentLink, currentLink)
	}
	if d, ok := layoutOf(l.Dir); ok && d.Dir == y.Dir {
		l.in = d.path(name, d.rest)
	}
	return l, nil
}

// File returns the program to execute: that of the launch path, or of a release (To).
func (l Launch) File() (string, error) {
	if l.file != "" {
		return l.file, nil
	}
	return l.Path()
}

// IsOfRelease reports whether l starts a release by its name (To).
func (l Launch) IsOfRelease() bool { return l.file != "" }

// In returns the working directory to start in: Dir, or its place in a release (To).
func (l Launch) In() string {
	if l.in != "" {
		return l.in
	}
	return l.Dir
}

// nameBehindCurrent names the directory here, in which a process of a release was started by its name, by $PWD: that
// leads through current to another release, and to this directory in this process's.
func (l Launch) nameBehindCurrent(here os.FileInfo) (dir string, ok bool) {
	dir = l.Getenv("PWD")
	own := OwnRelease()
	y, ok := layoutOf(dir)
	if !ok || own == "" || own == y.Next {
		return "", false
	}
	fi, err := os.Stat(y.path(own, y.rest))
	return dir, err == nil && os.SameFile(fi, here)
}

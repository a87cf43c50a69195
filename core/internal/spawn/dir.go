package spawn

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gracex-go/gracex/core/internal/program"
)

// maxHops bounds the symlinks that are followed from the program's path to its file.
const maxHops = 8

// NameDir gives the working directory of this process the name that is to be followed anew: as the launch path
// has it, if the program's directory or one above it is the working directory, or else as $PWD does. So
// /srv/current/app in /srv/current is in /srv/current, wherever that leads by the time of an upgrade, although a
// service manager that sets the directory sets no $PWD.
//
// A package that was initialized before this one can have changed the directory. The kernel does not keep the one of
// the start, but a relative argv[0] tells it: the program is found there.
func (l *Launch) NameDir() {
	dir, err := os.Getwd()
	if err != nil {
		l.Dir = "."
		return
	}
	start := "."
	if l.Dir = l.startDir(dir); l.Dir != dir {
		start = l.Dir
	}
	here, err := os.Stat(start)
	if err != nil {
		return
	}
	if dir, ok := l.nameBehindCurrent(here); ok {
		l.Dir = dir
		return
	}
	path, err := l.Path()
	if err != nil {
		return
	}
	for range maxHops {
		if dir, ok := above(path, here); ok {
			l.Dir = dir
			return
		}
		target, err := os.Readlink(path)
		if err != nil {
			return
		}
		if !filepath.IsAbs(target) {
			target = path[:strings.LastIndexByte(path, filepath.Separator)+1] + target
		}
		path = target
	}
}

// startDir returns the directory in which a relative argv[0] names this process's program: dir, in which it is now, or
// else the one in $PWD, or one above the program or dir. If it is none of these, or argv[0] is not relative, it is dir.
func (l *Launch) startDir(dir string) string {
	if len(l.Argv) == 0 || filepath.IsAbs(l.Argv[0]) || !strings.ContainsRune(l.Argv[0], filepath.Separator) {
		return dir
	}
	self, err := os.Executable()
	if err != nil {
		return dir
	}
	file, err := os.Stat(self)
	if err != nil {
		return dir // it was removed or replaced
	}
	isStart := func(dir string) bool {
		fi, err := os.Stat(dir + string(filepath.Separator) + l.Argv[0])
		return filepath.IsAbs(dir) && err == nil && os.SameFile(fi, file)
	}
	for _, d := range []string{dir, l.Getenv("PWD")} {
		if isStart(d) {
			return d
		}
	}
	for _, below := range []string{self, dir} {
		for d := filepath.Dir(below); ; d = filepath.Dir(d) {
			if isStart(d) {
				return d
			}
			if d == filepath.Dir(d) {
				break
			}
		}
	}
	return dir
}

// above returns the directory above path that is the same as here.
func above(path string, here os.FileInfo) (dir string, ok bool) {
	for {
		i := strings.LastIndexByte(path, filepath.Separator)
		if i < 0 {
			return "", false
		}
		path = path[:i]
		// Cleaned it has no "..", which may be missing by the time of an upgrade. Where that leads elsewhere,
		// because a symlink comes before "..", it is as it was given.
		for _, name := range []string{filepath.Clean(path + string(filepath.Separator)), path} {
			if fi, err := os.Stat(name); err == nil && os.SameFile(fi, here) {
				return name, true
			}
		}
	}
}

// InDir returns l with a working directory that exists. If the remembered one is gone, and the program is
// found without it, the new process gets the place to which the symlink leads that led to the directory at the
// start, or the directory around the program, if the program was inside the directory, or else the root. why says
// so, and is empty otherwise. A directory that was chosen by the program (Fixed) has no substitute.
func (l Launch) InDir(r *Release) (next Launch, why string) {
	if l.in != "" || l.Dir == "" || isDir(l.Dir) || l.Fixed || !l.findsItself() {
		return l, ""
	}
	path, err := l.Path()
	if err != nil {
		return l, ""
	}
	gone := l.Dir
	l.Dir = r.instead(path)
	if program.RootChanged() {
		return l, fmt.Sprintf("the working directory %s is not in the root directory to which this process has changed (chroot), "+
			"so the new process is started in %s; put the directory there, too, or give core.WithWorkingDirectory", gone, l.Dir)
	}
	return l, fmt.Sprintf("the working directory %s is gone, so the new process is started in %s; put the directory back "+
		"and restart, or give core.WithWorkingDirectory", gone, l.Dir)
}

// findsItself reports whether the program is found without the working directory.
func (l Launch) findsItself() bool {
	if len(l.Argv) == 0 {
		return true
	}
	return filepath.IsAbs(l.Argv[0]) || !strings.ContainsRune(l.Argv[0], filepath.Separator)
}

// withPWD returns env with the variable PWD as the directory's name, as a shell has it: a process that finds its
// working directory there follows the symlink of that name, too.
func withPWD(env []string, dir string) []string {
	if !filepath.IsAbs(dir) {
		return env
	}
	return SetEnv(env, []string{"PWD=" + dir})
}

package spawn

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// GracefulFlag is the first argument of a process that an upgrade started.
const GracefulFlag = "-graceful"

// CutGraceful takes the flag out of a command line: only as the first argument, where the old process puts
// it, so that a program's own use of the word elsewhere stays its own.
func CutGraceful(args []string) ([]string, bool) {
	if len(args) < 2 || (args[1] != GracefulFlag && args[1] != "-"+GracefulFlag) {
		return args, false
	}
	return slices.Concat(args[:1], args[2:]), true
}

// Launch is how this process was started, and so how the next one is.
type Launch struct {
	Dir   string   // the working directory at the start, as NameDir names it: symlinks unresolved
	Fixed bool     // the program has given Dir
	Argv  []string // without the -graceful flag
	Env   []string // at the start, without the private variables; PWD is Dir's name for the next process
	Umask int      // at the start of the first generation; -1: not known

	wrapped bool   // see BehindWrapper
	file    string // what is executed in place of the launch path: see To
	in      string // ... in place of Dir
	Program string // what is started in place of argv[0]; empty: nothing
	Trusted bool   // nobody but root and this user may be able to change the program
	Raised  bool   // the program has to give its process more rights than the one that starts it has

	stderr int // what descriptor 2 is for the next process; 0: the same as here
}

// Path returns what to start: the startup directory and argv[0], symlinks unresolved, so that a link current ->
// releases/2 that was flipped since is followed anew. os.Executable would still name the old release, or a
// file that was replaced by rename as "(deleted)".
func (l Launch) Path() (string, error) {
	if l.Program != "" {
		return l.Program, nil
	}
	if len(l.Argv) == 0 || l.Argv[0] == "" {
		return os.Executable()
	}
	name := l.Argv[0]
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			// Not filepath.Join: it would take "link/.." out without following link.
			name = l.Dir + string(filepath.Separator) + strings.TrimPrefix(name, "./")
		}
		return name, nil
	}
	if p, ok := l.LookPath(name); ok {
		return p, nil
	}
	// argv[0] was chosen by the program that started this process (exec -a, a login
	// shell) and names no file.
	return os.Executable()
}

// LookPath searches the PATH of the next process's environment, which is that of the start if nothing has changed it.
func (l Launch) LookPath(name string) (string, bool) {
	for _, dir := range filepath.SplitList(l.Getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(l.Dir, dir)
		}
		p := filepath.Join(dir, name)
		if _, err := exec.LookPath(p); err == nil {
			return p, true
		}
	}
	return "", false
}

// Getenv returns a variable of the environment at the start.
func (l Launch) Getenv(key string) string {
	for i := len(l.Env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(l.Env[i], "="); ok && k == key {
			return v
		}
	}
	return ""
}

// Args returns the command line of the next process: the flag first.
func (l Launch) Args() []string {
	argv := []string{"", GracefulFlag}
	if len(l.Argv) > 0 {
		argv[0] = l.Argv[0]
		argv = append(argv, l.Argv[1:]...)
	}
	return argv
}

// ownArgs returns the command line of a next process on gracex, which has no use for the flag.
func (l Launch) ownArgs() []string {
	if len(l.Argv) == 0 {
		return []string{""}
	}
	return l.Argv
}

// Environ returns the environment of the next process: private is the variable by which that learns what it is.
func (l Launch) Environ(private string) []string {
	env := withPWD(l.Env, l.Dir)
	return append(env[:len(env):len(env)], private)
}

package core

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// launch is how this process was started, and so how the next generation is.
type launch struct {
	dir    string   // the working directory at the start, as $PWD names it: symlinks unresolved
	argv   []string // without the -graceful flag
	env    []string // at the start, without the private variables
	umask  int      // at the start of the first generation; -1: not known
	stderr int      // what descriptor 2 is for the next generation; 0: the same as here
}

// path returns what to start: the startup directory and argv[0], symlinks
// unresolved, so that a `current -> releases/2` that was flipped since is
// followed anew. os.Executable would still name the old release, or a file that
// was replaced by rename as "(deleted)".
func (l launch) path() (string, error) {
	if len(l.argv) == 0 || l.argv[0] == "" {
		return os.Executable()
	}
	name := l.argv[0]
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			// Not filepath.Join: it would take "link/.." out without following link.
			name = l.dir + string(filepath.Separator) + strings.TrimPrefix(name, "./")
		}
		return name, nil
	}
	if p, ok := l.lookPath(name); ok {
		return p, nil
	}
	// argv[0] was chosen by whoever started this process (exec -a, a login
	// shell) and names no file.
	return os.Executable()
}

// lookPath searches the PATH of the start, not today's.
func (l launch) lookPath(name string) (string, bool) {
	for _, dir := range filepath.SplitList(l.getenv("PATH")) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(l.dir, dir)
		}
		p := filepath.Join(dir, name)
		if _, err := exec.LookPath(p); err == nil {
			return p, true
		}
	}
	return "", false
}

func (l launch) getenv(key string) string {
	for i := len(l.env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(l.env[i], "="); ok && k == key {
			return v
		}
	}
	return ""
}

// args returns the command line of the next generation: the flag first.
func (l launch) args() []string {
	argv := []string{"", gracefulFlag}
	if len(l.argv) > 0 {
		argv[0] = l.argv[0]
		argv = append(argv, l.argv[1:]...)
	}
	return argv
}

// environ returns the environment of the next generation, which learns from
// control where its control socket is.
func (l launch) environ(control string) []string {
	return append(l.env[:len(l.env):len(l.env)], EnvControl+"="+control)
}

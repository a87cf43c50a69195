package proctest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// built are the programs of Build.
var built struct {
	mu    sync.Mutex
	main  bool // Main is going to remove them
	dir   string
	paths map[string]string // by what was built
}

// Build puts a program of the package pkg at path. It is built once in a test process, with these flags of "go
// build". A TestMain has to call [Main], which removes it.
func Build(t testing.TB, path, pkg string, flags ...string) {
	t.Helper()
	put(t, path, "", append(flags, pkg))
}

// BuildAlone is Build for the Go files in dir. They become a program of no module, which knows none.
func BuildAlone(t testing.TB, path, dir string) {
	t.Helper()
	dir, err := filepath.Abs(dir)
	var files []string
	if err == nil {
		files, err = filepath.Glob(filepath.Join(dir, "*.go"))
	}
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, os.TempDir(), files)
}

func put(t testing.TB, path, from string, what []string) {
	t.Helper()
	file, err := build(from, what)
	if err != nil {
		t.Fatal(err)
	}
	Place(t, file, path)
}

// build builds what is not there yet. From another directory than the test's it builds without the workspace.
func build(from string, what []string) (string, error) {
	built.mu.Lock()
	defer built.mu.Unlock()
	if !built.main {
		return "", errors.New("proctest.Build: TestMain has not called proctest.Main")
	}
	key := strings.Join(what, " ")
	if path := built.paths[key]; path != "" {
		return path, nil
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "gxb")
		if err != nil {
			return "", err
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	path := filepath.Join(built.dir, strconv.Itoa(len(built.paths)))
	cmd := exec.Command("go", append([]string{"build", "-o", path}, what...)...)
	if from != "" {
		cmd.Dir, cmd.Env = from, append(os.Environ(), "GOWORK=off")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", key, err, out)
	}
	built.paths[key] = path
	return path, nil
}

// allowBuild is called by Main, which calls removeBuilt in the end.
func allowBuild() {
	built.mu.Lock()
	defer built.mu.Unlock()
	built.main = true
}

func removeBuilt() error {
	built.mu.Lock()
	defer built.mu.Unlock()
	return os.RemoveAll(built.dir) // nil if it is empty
}

// Install puts this test binary at path.
func Install(t testing.TB, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	Place(t, self, path)
}

// Place puts a program at path, by a link where that is possible.
func Place(t testing.TB, program, path string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil && os.Link(program, path) == nil {
		return
	}
	if err == nil {
		var b []byte
		if b, err = os.ReadFile(program); err == nil {
			err = WriteProgram(path, string(b))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// WriteProgram writes a file that is going to be executed. No process is forked meanwhile. It would hold the file
// open for writing until it has executed its own program, and this one could not be executed (golang/go#22315).
func WriteProgram(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o755)
}

package proctest

import (
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
	dir   string            // Main makes and removes it
	paths map[string]string // by what was built
}

// Build puts a program of the package pkg at path. It is built once in a test process, with these flags of "go
// build". A TestMain has to call [Main], which removes it.
func Build(t testing.TB, path, pkg string, flags ...string) {
	t.Helper()
	build(t, path, "", append(flags, pkg))
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
	build(t, path, os.TempDir(), files)
}

// BuildModule is Build for the module in dir, which go.work does not name.
func BuildModule(t testing.TB, path, dir string) {
	t.Helper()
	build(t, path, dir, []string{"."})
}

// build builds what is not there yet. From another directory than the test's it builds without the workspace.
func build(t testing.TB, path, from string, what []string) {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	if built.dir == "" {
		t.Fatal("proctest.Build: TestMain has not called proctest.Main")
	}
	key := strings.TrimSpace(from + " " + strings.Join(what, " "))
	if built.paths[key] == "" {
		file := filepath.Join(built.dir, strconv.Itoa(len(built.paths)))
		// Without what only debuggers read, and without asking the version control.
		args := []string{"build", "-ldflags=-w", "-buildvcs=false", "-o", file}
		cmd := exec.Command("go", append(args, what...)...)
		if from != "" {
			cmd.Dir, cmd.Env = from, append(os.Environ(), "GOWORK=off")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", key, err, out)
		}
		built.paths[key] = file
	}
	place(t, built.paths[key], path)
}

// Install puts this test binary at path.
func Install(t testing.TB, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	place(t, self, path)
}

// place puts a program at path, by a link where that is possible.
func place(t testing.TB, program, path string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil && os.Link(program, path) != nil {
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

package pidfile

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

func write(t *testing.T, path string, pid int) {
	t.Helper()
	must.Do(t, Write(path, pid))
}

func names(t *testing.T, dir string) string {
	t.Helper()
	ents := must.Get(os.ReadDir(dir))(t)
	var s []string
	for _, e := range ents {
		s = append(s, e.Name())
	}
	return strings.Join(s, " ")
}

func TestCommitReplaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	write(t, path, 100)
	f := must.Get(Prepare(path, 200))(t)
	if got, _ := Read(path); got != 100 {
		t.Errorf("before Commit the file names %d, want 100", got)
	}
	must.Do(t, f.Commit())
	if got, _ := Read(path); got != 200 {
		t.Errorf("after Commit the file names %d, want 200", got)
	}
	if got := names(t, filepath.Dir(path)); got != "app.pid" {
		t.Errorf("the directory holds %q", got)
	}
	if fi, _ := os.Stat(path); runtime.GOOS != "windows" && fi.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", fi.Mode())
	}
}

func TestDiscardLeavesTheLiveFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	write(t, path, 100)
	f := must.Get(Prepare(path, 200))(t)
	f.Discard()
	if got := names(t, filepath.Dir(path)); got != "app.pid" {
		t.Errorf("the directory holds %q", got)
	}
	if got, _ := Read(path); got != 100 {
		t.Errorf("the file names %d, want 100", got)
	}
}

func TestRemoveOnlyOwn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	write(t, path, 100)
	must.Do(t, Remove(path, 200))
	if _, err := os.Stat(path); err != nil {
		t.Fatal("another process's pid file was removed")
	}
	must.Do(t, Remove(path, 100))
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Fatal("the own pid file was left")
	}
	if err := Remove(path, 100); err != nil {
		t.Errorf("removing a missing file: %v", err)
	}
}

func TestPrepareExplains(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must.Do(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "app.pid"): "does not exist; create it",
		filepath.Join(dir, "sub"):             "there is a directory in its place",
	} {
		if _, err := Prepare(path, 1); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Prepare(%s) = %v, want one with %q", path, err, want)
		}
	}
}

func TestPrepareNamesTheWholeDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "file", 100)
	for path, want := range map[string]string{
		filepath.Join("none", "app.pid"): "the directory " + filepath.Join(dir, "none") + " does not exist",
		filepath.Join("file", "app.pid"): "no file can be made in the directory " + filepath.Join(dir, "file") + "; choose another path",
	} {
		if _, err := Prepare(path, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Prepare(%s) = %v, want one with %q", path, err, want)
		}
	}
}

func TestReadRefusesGarbage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	for _, s := range []string{"", "abc", "-1", "0", "12 34"} {
		must.Do(t, os.WriteFile(path, []byte(s), 0o644))
		if pid, err := Read(path); err == nil {
			t.Errorf("Read of %q = %d", s, pid)
		}
	}
}

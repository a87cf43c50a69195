package pidfile

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func write(t *testing.T, path string, pid int) {
	t.Helper()
	if err := Write(path, pid); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	ents, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
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
	f, err := Prepare(path, 200)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := Read(path); got != 100 {
		t.Errorf("before Commit the file names %d, want 100", got)
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
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
	f, err := Prepare(path, 200)
	if err != nil {
		t.Fatal(err)
	}
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
	if err := Remove(path, 200); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal("another process's pid file was removed")
	}
	if err := Remove(path, 100); err != nil {
		t.Fatal(err)
	}
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
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none", "app.pid"): "does not exist; create it",
		filepath.Join(dir, "sub"):             "there is a directory in its place",
	} {
		if _, err := Prepare(path, 1); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Prepare(%s) = %v, want one with %q", path, err, want)
		}
	}
}

func TestReadRefusesGarbage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	for _, s := range []string{"", "abc", "-1", "0", "12 34"} {
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
		if pid, err := Read(path); err == nil {
			t.Errorf("Read of %q = %d", s, pid)
		}
	}
}

//go:build unix

package pidfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestRead_WaitsForNobody: what is no regular file is not opened, because that can block, or do something.
func TestRead_WaitsForNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write(t, path("app.pid"), 100)
	must.Do(t, syscall.Mkfifo(path("fifo"), 0o666))
	must.Do(t, os.Symlink("app.pid", path("link")))
	must.Do(t, os.WriteFile(path("long"), []byte("100\n"+strings.Repeat("\n", maxBytes)), 0o644))
	for at, want := range map[string]string{
		path("fifo"): "there is a special file (p---------) in its place; remove it",
		path("link"): "there is a symbolic link in its place; remove it",
		os.DevNull:   "there is a special file (Dc---------) in its place; remove it",
		dir:          "there is a directory in its place; remove it",
		path("long"): "holds no process number",
	} {
		for what, err := range map[string]error{
			"Read":   second(Read(at)),
			"Remove": Remove(at, 100),
		} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), at) {
				t.Errorf("%s(%s) = %v, want one with %q", what, at, err, want)
			}
		}
	}
}

func second(_ int, err error) error { return err }

// TestOpen_KnowsWhatHasComeSince it looked: the open itself does not wait for a FIFO's writer, and follows no link.
func TestOpen_KnowsWhatHasComeSince(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	must.Do(t, syscall.Mkfifo(fifo, 0o666))
	write(t, filepath.Join(dir, "app.pid"), 100)
	must.Do(t, os.Symlink("app.pid", link))
	f, err := openRegular(fifo)
	if err == nil {
		_ = f.Close()
		t.Error("a FIFO is opened")
	}
	if f, err := openRegular(link); err == nil {
		_ = f.Close()
		t.Error("a link is followed")
	}
}

// TestLook_SaysWhetherAProcessHoldsTheFile from the moment in which it is in place.
func TestLook_SaysWhetherAProcessHoldsTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	expect := func(when string, want bool) {
		t.Helper()
		if pid, held, err := Look(path); pid != 100 || held != want || err != nil {
			t.Errorf("%s: Look = %d, %v, %v", when, pid, held, err)
		}
	}
	f := must.Get(Prepare(path, 100))(t)
	if f.lock == nil {
		t.Skip("there are no locks here")
	}
	must.Do(t, f.Commit())
	expect("in place", true)
	expect("after a look", true)
	f.Release()
	expect("released", false)
	f.Release()
	next := must.Get(Prepare(path, 200))(t)
	expect("with the next one prepared", false)
	next.Discard()
	write(t, path, 100)
	expect("written", false)
}

// TestPrepare_ReplacesALink and not what it leads to.
func TestPrepare_ReplacesALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, target := filepath.Join(dir, "app.pid"), filepath.Join(dir, "target")
	must.Do(t, os.WriteFile(target, []byte("its own\n"), 0o644))
	must.Do(t, os.Symlink("target", path))
	write(t, path, 100)
	if b := must.Get(os.ReadFile(target))(t); string(b) != "its own\n" {
		t.Errorf("the file behind the link has %q", b)
	}
	if pid := must.Get(Read(path))(t); pid != 100 {
		t.Errorf("the file names %d", pid)
	}
}

// TestPrepare_NamesASpecialFile in the place of the pid file.
func TestPrepare_NamesASpecialFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	must.Do(t, syscall.Mkfifo(path, 0o666))
	if _, err := Prepare(path, 1); err == nil || !strings.Contains(err.Error(), "there is a special file (p---------) in its place; remove it") {
		t.Errorf("Prepare = %v", err)
	}
	if got := names(t, filepath.Dir(path)); got != "app.pid" {
		t.Errorf("the directory holds %q", got)
	}
}

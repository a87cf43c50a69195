package core_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// TestWithTrustedBinary refuses what others can change, with the remedy, and upgrades by a symlink when it is followed.
func TestWithTrustedBinary(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2")
	must(t, os.Chmod(a.dir, 0o755))
	for _, r := range []string{"releases", "releases/1", "releases/2"} {
		must(t, os.Chmod(a.path(r), 0o755))
	}
	a.env = []string{"APP_TRUSTED=1"}
	a.start("app", a.path("current/app"))
	first := a.expect("ready", 0)
	a.flip("current", "releases/2")
	must(t, os.Chmod(a.path("releases/2"), 0o775))
	dir, err := filepath.EvalSymlinks(a.path("releases/2"))
	must(t, err)
	expectError(t, a.upgrade(first.Addrs[0]), "the program is not trusted", dir+" (mode drwxrwxr-x, owner ", "chmod go-w "+dir)
	must(t, os.Chmod(a.path("releases/2"), 0o755))
	must(t, a.upgrade(first.Addrs[0]))
	next := a.expect("ready", 1)
	a.expectRelease(next, "2", "2")
	if got := proc.Name(next.PID); got != "app" {
		t.Errorf("the new process is called %q", got)
	}
	a.signal(next.PID, syscall.SIGTERM)
	a.expectGone()
}

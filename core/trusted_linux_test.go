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

// TestWithTrustedBinary_OfARelease looks at what leads to the release, and at the launch path, which says where the
// releases are.
func TestWithTrustedBinary_OfARelease(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2")
	for _, dir := range []string{"", "releases", "releases/1", "releases/2", "bin"} {
		must(t, os.MkdirAll(a.path(dir), 0o755))
		must(t, os.Chmod(a.path(dir), 0o755))
	}
	must(t, os.Symlink("../current/app", a.path("bin/app")))
	a.env = []string{"APP_TRUSTED=1", "APP_CONTROL=" + a.path("ctl.sock")}
	a.start("app", a.path("bin/app"))
	first := a.expect("ready", 0)
	for _, dir := range []string{"releases/2", "bin"} {
		must(t, os.Chmod(a.path(dir), 0o775))
		o, err := a.askFor("2")
		must(t, err)
		expectText(t, o.Reason, "the program is not trusted", a.path(dir)+" (mode drwxrwxr-x, owner ", "chmod go-w "+a.path(dir))
		must(t, os.Chmod(a.path(dir), 0o755))
	}
	expectServes(t, first.Addrs[0], first.PID)
	must(t, os.Remove(a.path("releases/1/app"))) // the launch path need not lead to a program
	next := a.upgradeTo("2")
	a.expectRelease(next, "2", "2")
	if got := proc.Name(next.PID); got != "app" {
		t.Errorf("the new process is called %q", got)
	}
}

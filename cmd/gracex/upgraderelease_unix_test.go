//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestUpgradeRelease: a release is upgraded to by its name, and then the symlink is switched, as docs/start.md has it.
func TestUpgradeRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, r := range []string{"1", "2"} {
		proctest.Install(t, filepath.Join(s.dir, "releases", r, "shop"))
	}
	must.Do(t, os.Symlink("releases/1", filepath.Join(s.dir, "current")))
	path := filepath.Join(s.dir, "current", "shop")
	s.app = proctest.Start(t, &exec.Cmd{Path: path, Args: []string{path}, Dir: s.dir, Env: s.env("app")})
	s.app.AwaitPID(filepath.Join(s.dir, "app.pid"), 0)
	first := s.pid()
	s.expect(control.ExitOK, []string{"\nrelease 1\n"}, "status")
	s.expect(control.ExitRefused, []string{`no such release: "none" is no directory in `}, "upgrade", "--release", "none")
	s.expect(control.ExitRefused, []string{`"exit_status":4`, `"kind":"unknown"`}, "upgrade", "--release", "none", "--json")
	s.expect(control.ExitUsage, []string{"--release"}, "upgrade", "--release=")
	s.expect(control.ExitUsage, []string{"--release"}, "upgrade", "--release", "2", "--leave")
	if s.pid() != first {
		t.Errorf("process %d serves, before it was %d", s.pid(), first)
	}
	s.expect(control.ExitOK, []string{"upgraded"}, "upgrade", "--release", "2")
	s.expect(control.ExitOK, []string{"\nruns release 2, and the next start gets 1\n"}, "status")
	s.expect(control.ExitOK, []string{`"next_release":"1"`, `"release":"2"`}, "status", "--json")

	self := must.Get(os.Executable())(t)
	sh := exec.Command("/bin/sh", "-c", `"$0" upgrade --pid-file app.pid --release 2 && ln -s releases/2 current.new && mv -T current.new current`, self)
	sh.Dir, sh.Env = s.dir, s.env("gracex")
	if out, err := sh.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "illegal option") {
			t.Skip("mv knows no -T here")
		}
		t.Fatalf("%v: %s", err, out)
	}
	s.expect(control.ExitOK, []string{"\nrelease 2\n"}, "status")
}

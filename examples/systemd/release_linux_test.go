package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// releaseUnit has the working directory and the program behind a symlink that each deployment switches, and passes
// what has changed in the unit on.
const releaseUnit = `[Service]
Type=notify
NotifyAccess=all
WorkingDirectory=/opt/gracex-example/current
EnvironmentFile=/opt/gracex-example/env
Environment="ARGS=-addr %s -drain 25s -probation 20ms"
Environment=GORACE=atexit_sleep_ms=0
RuntimeDirectory=gracex-release
ExecStart=/opt/gracex-example/current/server -control /run/gracex-release/control.sock $ARGS $MORE
ExecReload=/opt/gracex-example/gracex upgrade --socket /run/gracex-release/control.sock %s
Restart=on-failure
StandardOutput=append:%s
StandardError=append:%[3]s
`

// releases has the unit with the releases 1 to n, of which the first one is current.
func (m *manager) releases(n int, reload string) *service {
	t := m.t
	t.Helper()
	s := &service{manager: m, name: "gracex-release", addr: proctest.FreeAddr(t)}
	for i := range n {
		dir := filepath.Join(s.app, "releases", fmt.Sprint(i+1))
		must.Do(t, os.MkdirAll(dir, 0o755))
		proctest.Build(t, filepath.Join(dir, "server"), deploytest.Example)
	}
	s.install("gracex", func(path string) { proctest.Build(t, path, deploytest.Command) })
	s.flip("1")
	s.environment("COLOR=green\n")
	s.unit(s.name+".service", fmt.Sprintf(releaseUnit, s.addr, reload, s.log))
	s.must("daemon-reload")
	s.must("start", s.name)
	s.begun()
	return s
}

// flip makes a release the current one.
func (s *service) flip(release string) {
	s.t.Helper()
	s.install("current", func(path string) { must.Do(s.t, os.Symlink("releases/"+release, path)) })
}

// environment writes the unit's EnvironmentFile=.
func (s *service) environment(text string) {
	s.t.Helper()
	must.Do(s.t, os.WriteFile(filepath.Join(s.app, "env"), []byte(text), 0o644))
}

// runs checks which release's program runs in which release's directory.
func (s *service) runs(release string) {
	s.t.Helper()
	pid := deploytest.MustPost(s.t, s.addr, "/", "").PID
	for link, want := range map[string]string{"exe": "/server", "cwd": ""} {
		want = "/opt/gracex-example/releases/" + release + want
		if got := strings.TrimSpace(s.MustInside("readlink", "/proc/"+pid+"/"+link)); got != want {
			s.t.Errorf("%s of process %s is %s, want %s", link, pid, got, want)
		}
	}
}

// started is what the process that serves was started with.
func (s *service) started(file string) string {
	s.t.Helper()
	pid := deploytest.MustPost(s.t, s.addr, "/", "").PID
	return "\n" + strings.ReplaceAll(s.MustInside("cat", "/proc/"+pid+"/"+file), "\x00", "\n")
}

// TestRelease: WorkingDirectory= behind a symlink. Each release runs in its own directory, also when the ones before
// are removed, and after a crash. Then what has changed in the unit is passed on by a reload.
func TestRelease(t *testing.T) {
	t.Parallel()
	s := startManager(t, "").releases(4, "--env --args -- -control /run/gracex-release/control.sock $ARGS $MORE")
	s.runs("1")
	for i, release := range []string{"2", "3"} {
		s.flip(release)
		s.must("reload", s.name)
		s.serves(fmt.Sprint(i + 1))
		s.runs(release)
		proctest.Await(t, "the old process is gone", func() bool {
			return len(strings.Fields(s.MustInside("cat", "/sys/fs/cgroup/system.slice/"+s.name+".service/cgroup.procs"))) == 1
		})
		must.Do(t, os.RemoveAll(filepath.Join(s.app, "releases", fmt.Sprint(i+1))))
	}

	s.environment("COLOR=blue\nMORE=-prestop 1ms\n")
	s.must("reload", s.name)
	s.serves("3")
	if env := s.started("environ"); !strings.Contains(env, "\nCOLOR=blue\n") || !strings.Contains(env, "\nNOTIFY_SOCKET=") {
		t.Errorf("the environment is%s", env)
	}
	if args := s.started("cmdline"); !strings.HasSuffix(args, "\n-prestop\n1ms\n") {
		t.Errorf("the arguments are%s", args)
	}
	s.flip("4")
	must.Do(t, os.RemoveAll(filepath.Join(s.app, "releases", "3")))
	s.restarts()
	s.runs("4")
}

// TestReleaseWarning: without --env a reload works, and says which variables it does not pass on.
func TestReleaseWarning(t *testing.T) {
	t.Parallel()
	s := startManager(t, "").releases(1, "")
	s.must("reload", s.name)
	s.serves("1")
	log := func() string {
		return string(must.Get(os.ReadFile(s.log))(t))
	}
	if text := log(); strings.Contains(text, "warning: ") {
		t.Errorf("a warning without a change:\n%s", text)
	}
	s.environment("COLOR=blue\n")
	s.must("reload", s.name)
	s.serves("2")
	if env := s.started("environ"); !strings.Contains(env, "\nCOLOR=green\n") {
		t.Errorf("the environment is%s", env)
	}
	if text := log(); strings.Count(text, "warning: the unit's environment has changed") != 1 || !strings.Contains(text, "(COLOR)") {
		t.Errorf("no warning of COLOR:\n%s", text)
	}
}

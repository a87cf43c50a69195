package supervisord

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestRelease: directory= behind a symlink that each deployment switches, under a real supervisord. Each release
// runs in its own directory, also when the ones before are removed, and when a worker is started after a crash.
func TestRelease(t *testing.T) {
	t.Parallel()
	s := prepareService(t)
	for _, release := range []string{"1", "2", "3", "4"} {
		dir := filepath.Join(s.dir, "releases", release)
		must.Do(t, os.MkdirAll(dir, 0o755))
		proctest.Build(t, filepath.Join(dir, "server"), deploytest.Example)
	}
	s.flip("1")
	s.configure("%(here)s/server", "%(here)s/current/server",
		"autorestart=", "directory=%(here)s/current\nenvironment=GRACEX_MODE=\"supervised\"\nautorestart=")
	s.start()
	run := deploytest.Load(t, s.addr)
	s.runs("1")
	for _, release := range []string{"2", "3"} {
		old := deploytest.MustPost(t, s.addr, "/", "").PID
		s.flip(release)
		s.ctl("signal", "HUP", "web")
		s.succeeds(old)
		s.runs(release)
		must.Do(t, os.RemoveAll(filepath.Join(s.dir, "releases", string(release[0]-1))))
	}
	deploytest.StopLoad(t, run)
	old := deploytest.MustPost(t, s.addr, "/", "").PID
	s.flip("4")
	must.Do(t, os.RemoveAll(filepath.Join(s.dir, "releases", "3")))
	s.signal(old, syscall.SIGKILL)
	s.succeeds(old)
	s.runs("4")
	s.unmoved()
}

// flip makes a release the current one.
func (s *service) flip(release string) {
	s.t.Helper()
	must.Do(s.t, os.Symlink("releases/"+release, filepath.Join(s.dir, "flip")))
	must.Do(s.t, os.Rename(filepath.Join(s.dir, "flip"), filepath.Join(s.dir, "current")))
}

// succeeds waits until another process than old serves, and old is gone.
func (s *service) succeeds(old string) {
	s.t.Helper()
	proctest.Await(s.t, "process "+old+" is gone, and another one serves", func() bool {
		b, err := os.ReadFile("/proc/" + old + "/stat")
		if err == nil && !strings.Contains(string(b), ") Z ") {
			return false
		}
		a, err := deploytest.Post(s.addr, "/", "")
		return err == nil && a.PID != old
	})
}

// runs checks which release's program runs in which release's directory.
func (s *service) runs(release string) {
	s.t.Helper()
	dir := must.Get(filepath.EvalSymlinks(filepath.Join(s.dir, "releases", release)))(s.t)
	pid := deploytest.MustPost(s.t, s.addr, "/", "").PID
	for link, want := range map[string]string{"exe": dir + "/server", "cwd": dir} {
		if got, err := os.Readlink("/proc/" + pid + "/" + link); err != nil || got != want {
			s.t.Errorf("%s of process %s is %s, %v; want %s", link, pid, got, err, want)
		}
	}
}

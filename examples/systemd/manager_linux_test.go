package systemd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envSystemd makes the tests fail where systemd can't be started.
const envSystemd = "CORE_TEST_SYSTEMD"

// envSystemdRoot names a directory into which the packages of a newer systemd have been
// unpacked (.ci/systemd-backport does it), for tests of what the machine's can't do.
const envSystemdRoot = "CORE_TEST_SYSTEMD_ROOT"

const systemdPath = "/lib/systemd/systemd"

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

// manager is a real systemd, which is pid 1 of a pid namespace and has its own mounts, cgroups, IPC and host
// name. It has a /run of its own, and no units but those of the test. The network is the machine's.
type manager struct {
	*deploytest.Process
	t     *testing.T
	units string // the directory of its unit files
	app   string // what it sees as /opt/gracex-example
	log   string // the file that services write to
}

// setup prepares the mounts: $1 is startManager's root, $2 the directory with the program. /etc is only read, and
// nothing is written to the machine's console.
const setup = `
mount --bind /etc /etc && mount -o remount,bind,ro /etc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock
mount --bind /dev/null /dev/console
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/gracex-example
mount --bind "$2" /opt/gracex-example
if [ -n "$1" ]; then
	for libs in "$1"/usr/lib/*/systemd; do mount --bind "$libs" "${libs#"$1"}"; done
	for f in lib/systemd bin/systemctl bin/systemd-analyze; do
		if ! [ -e "$1/$f" ]; then f=usr/$f; fi
		mount --bind "$1/$f" "/$f"
	done
fi
shift 2
`

// enter is what is done in the cgroup namespace, whose root is the test's own cgroup.
const enter = `mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"`

// startManager starts systemd in namespaces:
//
//	unshare --pid --fork --mount --mount-proc --ipc --uts --kill-child sh -c '
//	  mount -t tmpfs tmpfs /run
//	  exec unshare --cgroup sh -c "mount -t cgroup2 cgroup2 /sys/fs/cgroup
//	    exec env container=other SYSTEMD_UNIT_PATH=... /lib/systemd/systemd --unit=basic.target"'
//
// from a shell that has moved to a cgroup of its own in the cgroup2 hierarchy, be it the only
// hierarchy or part of a hybrid layout.
//
// root is empty for the machine's own, or where another one has been unpacked.
func startManager(t *testing.T, root string) *manager {
	t.Helper()
	_, err := os.Stat(systemdPath)
	deploytest.Need(t, envSystemd, err, "on Debian, apt-get install systemd")
	const flags = syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	deploytest.Need(t, envSystemd, deploytest.Namespaces(flags|syscall.CLONE_NEWPID|syscall.CLONE_NEWNS),
		"it takes root, and a sandbox that permits unshare(2) and mount(2)")
	group, err := newCgroup(t)
	deploytest.Need(t, envSystemd, err, "it takes a cgroup2 hierarchy in which this process may make a group")

	dir := must.Get(os.MkdirTemp("", "gx"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, units: filepath.Join(dir, "units"), app: filepath.Join(dir, "app"), log: filepath.Join(dir, "log")}
	for _, d := range []string{m.units, m.app} {
		must.Do(t, os.Mkdir(d, 0o755))
	}
	m.addUnits()

	cmd := deploytest.PID1(flags, setup, root, m.app, "unshare", "--cgroup", "--", "/bin/sh", "-c", enter, "sh",
		systemdPath, "--system", "--unit=basic.target", "--log-target=null", "--show-status=0")
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "container=other",
		"SYSTEMD_UNIT_PATH=" + m.units, "SYSTEMD_GENERATOR_PATH=" + m.units, "SYSTEMD_ENVIRONMENT_GENERATOR_PATH=" + m.units,
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	m.Process = deploytest.Start(t, cmd, syscall.SIGKILL)
	t.Cleanup(func() {
		if t.Failed() {
			status, _ := m.Inside("systemctl", "status", "--full", "--no-pager", "gracex-*")
			log, _ := os.ReadFile(m.log)
			t.Logf("systemctl status:\n%s\nwhat services have written:\n%s", status, log)
		}
	})
	proctest.Await(t, "systemd has started", func() bool {
		if !m.Running() {
			deploytest.Need(t, envSystemd, errors.New("systemd does not run here: "+m.Log.String()), "its own words say why")
		}
		out, _ := m.Inside("systemctl", "is-active", "basic.target")
		return out == "active\n"
	})
	return m
}

// addUnits copies the units of this directory, and makes those of the system that they name.
func (m *manager) addUnits() {
	m.t.Helper()
	files := must.Get(filepath.Glob("*.s*"))(m.t)
	for _, f := range files {
		b := must.Get(os.ReadFile(f))(m.t)
		m.unit(f, string(b))
	}
	for _, name := range []string{"basic", "sysinit", "shutdown", "sockets", "network-online"} {
		m.unit(name+".target", "[Unit]\nDescription=made by the test\nDefaultDependencies=no\n")
	}
}

func (m *manager) unit(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.units, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	must.Do(m.t, err)
}

// newCgroup makes a cgroup below this process's, for as long as the test runs.
func newCgroup(t *testing.T) (*os.File, error) {
	t.Helper()
	root, err := cgroup2()
	if err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(root, "gracex-test-")
	if err != nil {
		return nil, fmt.Errorf("no cgroup can be made: %w", err)
	}
	// Cleanups run last first, so by now everything in it has ended.
	t.Cleanup(func() {
		proctest.Await(t, "the cgroup is empty", func() bool { return removeCgroup(path) == nil })
	})
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { f.Close() })
	return f, nil
}

// removeCgroup removes a group with those below it.
func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}

// cgroup2 is the directory of this process's group in the cgroup2 hierarchy (proc(5), cgroups(7)).
func cgroup2() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	for mount := range strings.Lines(string(mounts)) {
		f := strings.Fields(mount)
		if len(f) < 3 || f[2] != "cgroup2" {
			continue
		}
		for group := range strings.Lines(string(groups)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(group), "0::"); ok {
				return filepath.Join(f[1], path), nil
			}
		}
	}
	return "", errors.New("no cgroup2 hierarchy is mounted")
}

// systemctl runs it and reports whether it has succeeded.
func (m *manager) systemctl(args ...string) error {
	out, err := m.Inside("systemctl", args...)
	if err != nil {
		return fmt.Errorf("systemctl %q: %w\n%s", args, err, out)
	}
	return nil
}

func (m *manager) must(args ...string) {
	m.t.Helper()
	must.Do(m.t, m.systemctl(args...))
}

// show is a unit's property.
func (m *manager) show(unit, property string) string {
	m.t.Helper()
	return strings.TrimSpace(m.MustInside("systemctl", "show", "--value", "-p", property, unit))
}

// install puts the program and the command in the place that the units name. It takes
// the place of what is there by a rename, as a deploy does.
func (m *manager) install(name string, create func(path string)) {
	m.t.Helper()
	path := filepath.Join(m.app, name)
	create(path + ".new")
	must.Do(m.t, os.Rename(path+".new", path))
}

// version is that of the systemd that runs.
func (m *manager) version() (n int) {
	m.t.Helper()
	out := m.MustInside("systemctl", "--version")
	if _, err := fmt.Sscanf(out, "systemd %d", &n); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	return n
}

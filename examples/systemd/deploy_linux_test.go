package systemd

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

const (
	recipes  = "../deploy/"
	followed = "../../docs/following.md"
)

// ground gives the manager users, programs and directories of its own, where the recipes have them. $1 is the
// directory of its unit files.
const ground = `
cp -a /etc /run/etc
mount --bind /run/etc /etc
mkdir -p /etc/systemd/system
mount --bind "$1" /etc/systemd/system
mount -t tmpfs -o mode=755 tmpfs /srv
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
cp /opt/gracex-example/gracex /usr/local/bin
`

// publish makes a release of a program. It goes to the folder public.
func (m *manager) publish(version, pkg, more string) {
	m.t.Helper()
	dist := filepath.Join(m.t.TempDir(), "dist")
	file := filepath.Join(dist, "shop_linux_amd64")
	proctest.Build(m.t, file+".built", pkg)
	b := must.Get(os.ReadFile(file + ".built"))(m.t)
	must.Do(m.t, os.Remove(file+".built"))
	must.Do(m.t, proctest.WriteProgram(file, string(b)+more))
	cmd := exec.Command(filepath.Join(m.app, "gracex"), "release", "publish", dist, "--name", "shop", "--version", version,
		"--key", "release.key", "-o", "public")
	cmd.Dir = m.app
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%v\n%s", err, out)
	}
}

// TestFollow: a service that can't write its own program is kept at the release that a source offers, by a unit of
// another user. All is done as docs/following.md says.
func TestFollow(t *testing.T) {
	t.Parallel()
	m := startManager(t, "")
	s := &service{manager: m, name: "shop", addr: proctest.FreeAddr(t)}
	m.install("gracex", func(path string) { proctest.Build(t, path, deploytest.Command) })
	m.MustInside("sh", "-ec", ground, "sh", m.units)
	keygen := exec.Command(filepath.Join(m.app, "gracex"), "release", "keygen", "-o", m.app)
	if out, err := keygen.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const shop = "github.com/gracex-go/gracex/examples/deploy"
	m.publish("1.5.0", shop, "1")
	source := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(m.app, "public"))))
	defer source.Close()

	for _, unit := range []string{"shop.service", "gracex-follow@.service"} {
		text := string(must.Get(os.ReadFile(recipes + unit))(t))
		text = strings.Replace(text, "-addr :8080", "-addr "+s.addr+" -probation 100ms", 1)
		must.Do(t, os.WriteFile(filepath.Join(m.app, unit), []byte(text), 0o644))
		m.unit(unit+".d/test.conf", "[Service]\nEnvironment=\"FLAGS=--every 1s\"\nStandardOutput=append:"+m.log+"\nStandardError=append:"+m.log+"\n")
	}
	page := string(must.Get(os.ReadFile(followed))(t))
	_, page, _ = strings.Cut(page, "```console\n")
	script, _, found := strings.Cut(page, "```\n")
	if !found {
		t.Fatalf("%s has no script", followed)
	}
	script = strings.ReplaceAll(script, "https://dl.example.org/shop/stable", source.URL)
	m.MustInside("sh", "-ec", "cd /opt/gracex-example\nPATH=$PATH:/usr/local/bin:/usr/sbin:/sbin\n"+script)
	for _, unit := range []string{"shop.service", "gracex-follow@shop.service"} {
		if out := m.MustInside("systemd-analyze", "verify", "--man=no", unit); out != "" {
			t.Errorf("systemd-analyze verify %s: %s", unit, out)
		}
	}

	current := func() string { return strings.TrimSpace(m.MustInside("readlink", "/srv/shop/current")) }
	is := func(version string) bool { return strings.HasPrefix(current(), "releases/"+version+"-") }
	serves := func(version string) {
		t.Helper()
		pid := deploytest.MustPost(t, s.addr, "/", "").PID
		exe := strings.TrimSpace(m.MustInside("readlink", "/proc/"+pid+"/exe"))
		user := strings.TrimSpace(m.MustInside("stat", "-c", "%U", "/proc/"+pid))
		if !is(version) || exe != "/srv/shop/"+current()+"/shop" || user != "shop" {
			t.Errorf("%s is current, and process %s of user %s runs %s; want %s", current(), pid, user, exe, version)
		}
		s.has(map[string]string{"MainPID": pid, "ActiveState": "active", "NRestarts": "0"})
	}
	serves("1.5.0")
	if out, err := m.Inside("setpriv", "--reuid", "shop", "--regid", "shop", "--clear-groups", "touch", "/srv/shop/new"); err == nil {
		t.Errorf("the service's user can write its releases: %s", out)
	}
	run := deploytest.Load(t, s.addr)
	m.publish("1.6.0", shop, "2")
	deploytest.AwaitGeneration(t, run, "1")
	proctest.Await(t, "1.6.0 is current", func() bool { return is("1.6.0") })
	m.publish("1.7.0", deploytest.Example, "") // it does not know -operator
	history := func(text string) func() bool {
		return func() bool {
			out, _ := m.Inside("/usr/local/bin/gracex", "history", "--socket", "/run/shop/control.sock")
			return strings.Contains(out, text)
		}
	}
	proctest.Await(t, "1.7.0 is found to be bad", history("failed: "))
	serves("1.6.0")
	if out, err := m.Inside("setpriv", "--reuid", "deploy", "--regid", "deploy", "--clear-groups",
		"/usr/local/bin/gracex", "back", "--socket", "/run/shop/control.sock"); err != nil {
		t.Error(out, err)
	}
	serves("1.5.0")
	deploytest.StopLoad(t, run)
	m.must("restart", s.name)
	proctest.Await(t, "it serves again", func() bool { _, err := deploytest.Post(s.addr, "/", ""); return err == nil })
	serves("1.5.0")
	m.must("stop", "gracex-follow@shop", s.name)
}

package spawn

import (
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
)

func TestSetEnv(t *testing.T) {
	t.Parallel()
	env := append(make([]string, 0, 8), "A=1", "B=2", "A=3")
	if got := SetEnv(env, []string{"A=4", "C=5", "C=6"}); !slices.Equal(got, []string{"A=4", "B=2", "C=6"}) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(env, []string{"A=1", "B=2", "A=3"}) {
		t.Errorf("the original is %q", env)
	}
}

// TestRenew: what is said of one process alone stays, and gracex's own variables are nobody's to give.
func TestRenew(t *testing.T) {
	t.Parallel()
	old := []string{"A=1", "NOTIFY_SOCKET=/run/n", "PWD=/srv", "HOME=/var/shop"}
	given := []string{"A=2", "B=1", "NOTIFY_SOCKET=/other", "WATCHDOG_PID=1", "MONITOR_UNIT=x", "HOME=/root", "SUDO_USER=me", "PWD=/", wire.EnvHandover + "=1:9:1",
		wire.EnvLink + "=1:9:1", wire.EnvSupervise + "=1", "A=3"}
	if got := Renew(old, given); !slices.Equal(got, []string{"A=3", "B=1", "NOTIFY_SOCKET=/run/n", "PWD=/srv", "HOME=/var/shop"}) {
		t.Errorf("%q", got)
	}
}

func TestChanged(t *testing.T) {
	t.Parallel()
	then := []string{"A=1", "B=2", "GONE=1", "PWD=/a"}
	now := []string{"B=3", "A=1", "NEW=", "PWD=/b", "MAINPID=7", "odd"}
	if got := Changed(then, now); !slices.Equal(got, []string{"B", "NEW"}) {
		t.Errorf("%q", got)
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	l := Launch{Dir: "/srv/current", Fixed: true, Argv: []string{"./app", "", "\xff"}, Env: []string{"A=\xfe\n", "B="}, Umask: 18}
	got, err := ParseLaunch(l.Tell())
	if err != nil || got.Dir != l.Dir || !got.Fixed || !slices.Equal(got.Argv, l.Argv) || !slices.Equal(got.Env, l.Env) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ParseLaunch([]byte("{")); err == nil {
		t.Error("half of it is taken for a whole")
	}
}

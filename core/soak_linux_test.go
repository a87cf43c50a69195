package core_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// TestSoak_ABadReleaseIsReplacedByTheOneBefore: it has passed its probation, current was switched to it, and then it
// crashes again and again. The supervisor starts the release before, also after a later crash, until current is switched.
// It is the same for a supervisor that the first process has become.
func TestSoak_ABadReleaseIsReplacedByTheOneBefore(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"supervised", ""} {
		t.Run("mode "+mode, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2", "3")
			a.env = []string{core.EnvMode + "=" + mode, "APP_CONTROL=" + a.path("ctl.sock")}
			a.start("app", a.path("current/app"))
			first := a.expect("ready", 0)
			second := a.upgradeTo("2")
			a.expectRelease(second, "2", "2")
			a.flip("current", "releases/2")
			ends := 0
			if mode == "" {
				a.becomesSupervisor()
			} else {
				a.expect("end", 0)
				ends++
			}
			a.signal(second.PID, syscall.SIGKILL)
			for n := 2; n < 4; n++ {
				ev := a.expect("ready", n)
				a.expectRelease(ev, "2", "2")
				a.signal(ev.PID, syscall.SIGKILL)
			}
			good := a.expect("ready", 4)
			a.expectRelease(good, "1", "1")
			if good.Upgrading || good.Addrs[0] != first.Addrs[0] {
				t.Errorf("%+v", good)
			}
			a.expectLog("the one before it is started in its place", 1)
			expectText(t, a.log(), "level=ERROR", "release=2", "next_release=1", "crashes=3", "soak=10m0s")
			a.signal(good.PID, syscall.SIGKILL)
			good = a.expect("ready", 5)
			a.expectRelease(good, "1", "1")
			third := a.upgradeTo("3") // a good one
			a.flip("current", "releases/3")
			a.expect("end", ends)
			must(t, os.RemoveAll(a.path("releases/1")))
			a.signal(third.PID, syscall.SIGKILL)
			last := a.expect("ready", 7)
			a.expectRelease(last, "3", "3")
			expectServes(t, first.Addrs[0], last.PID)
		})
	}
}

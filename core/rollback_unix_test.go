//go:build unix

package core_test

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestRollback_WaitsForAnOldProcessThatStandsStill has a new process that has rejected itself. It serves as long as its
// old one stands still, and starts no next process, whatever it is asked for. The old one takes the service back when
// it goes on, and does that upgrade itself.
func TestRollback_WaitsForAnOldProcessThatStandsStill(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4s", "-pidfile", "app.pid") // in which it is stopped
	addr := first.Addrs[0]
	second := a.next(first)
	a.freeze(first.PID)
	expectError(t, a.call(addr, "/reject?why=bad"), "<nil>")
	a.signal(second.PID, syscall.SIGUSR2)
	a.expectLog("one more follows it", 1)
	expectServes(t, addr, second.PID)
	a.signal(first.PID, syscall.SIGCONT)
	a.expectLog("upgrade rolled back; this process serves again", 1)
	third := a.expect("ready", 2)
	if end := a.expect("end", 0); end.PID != second.PID || third.Gen != 1 {
		t.Errorf("%+v, then %+v", end, third)
	}
	a.expect("end", 1) // the first generation, after the probation of the third process
	for range 50 {
		expectServes(t, addr, third.PID)
	}
	a.expectPID(second.PID, third.PID)
}

// TestRollback_KeepsPaths of unix sockets that were passed on, also if the new process takes the old one for dead.
func TestRollback_KeepsPaths(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]string{"hung up": "/hangup", "rejected": "/reject?why=bad"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, "-probation", "4m", "-listen", "unix,app.sock", "-listen", "unix,old.sock")
			a.write("listen", "unix,app.sock unix,own.sock")
			a.next(first)
			_ = a.call(a.path("app.sock"), how)
			a.expectLog("this process serves again", 1)
			a.expect("end", 0)
			for name, want := range map[string]bool{"app.sock": true, "old.sock": true, "own.sock": false} {
				if _, err := get(a.path(name), "/stats"); (err == nil) != want {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// frozen starts an app whose new process stands still on probation, and is sent back for it.
func frozen(t *testing.T, args ...string) (a *app, first, second event) {
	t.Helper()
	a, first = serving(t, append([]string{"-probation", "4m"}, args...)...)
	second = a.next(first)
	a.freeze(second.PID)
	a.expectLog("upgrade rolled back", 1)
	return a, first, second
}

// TestRollback_CrossesAStop lets a new process that stood still find a stop signal, which was meant for the service,
// and the old one's word that it serves again, in any order. If it takes the signal first the old one hears of it,
// and stops too; else it leaves the old one's socket alone.
func TestRollback_CrossesAStop(t *testing.T) {
	t.Parallel()
	for range 3 {
		a, _, second := frozen(t, "-listen", "unix,app.sock")
		a.signal(second.PID, syscall.SIGTERM)
		a.signal(second.PID, syscall.SIGCONT)
		a.expect("end", 0)
		a.Await("the old process serves or ends", func() bool {
			_, err := os.Stat(a.path("app.sock"))
			return a.out.Closed() || err == nil && !strings.Contains(a.log(), "was asked to stop it")
		})
	}
}

// TestRollback_BeforeAStop ends a new process that stands still all the same.
func TestRollback_BeforeAStop(t *testing.T) {
	t.Parallel()
	a, first, _ := frozen(t)
	a.signal(first.PID, syscall.SIGTERM)
	a.expect("end", 0)
	a.expectGone()
	ln, err := net.Listen("tcp", first.Addrs[0])
	must(t, err)
	must(t, ln.Close())
}

// TestProbation_UnclaimedListenersAreTheOldOnes has a new version that does not listen on one of them any more. That
// is the old one's until there is no way back; a unix socket that the old one closes meanwhile is the new one's.
func TestProbation_UnclaimedListenersAreTheOldOnes(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m", "-listen", "unix,app.sock", "-listen", "tcp,127.0.0.1:0")
	sock := a.path("app.sock")
	a.write("listen", "unix,app.sock")
	answered(t, sock, "/") // which is kept
	second := a.next(first)
	expectServes(t, first.Addrs[1], first.PID)
	expectServes(t, sock, second.PID)
	_, err := get(first.Addrs[1], "/close") // the old one's listeners
	must(t, err)
	expectServes(t, sock, second.PID)
}

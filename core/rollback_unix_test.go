//go:build unix

package core_test

import (
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestRejectWhileTheOldStandsStill: a new process that has rejected itself serves as long as its old
// one stands still, and starts no next process, whatever it is asked for. The old one takes the
// service back when it goes on, and does that upgrade itself.
func TestRejectWhileTheOldStandsStill(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4s", "-pidfile", "app.pid") // in which it is stopped
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.freeze(first.PID)
	if err := a.call(first.Addrs[0], "/reject?why=bad"); err == nil || err.Error() != "<nil>" {
		t.Errorf("Reject = %v", err)
	}
	a.signal(second.PID, syscall.SIGUSR2)
	a.expectLog("one more follows it", 1)
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != second.PID {
		t.Errorf("process %d serves while the old one stands still, want %d", st.PID, second.PID)
	}
	a.signal(first.PID, syscall.SIGCONT)
	a.expectLog("upgrade rolled back; this process serves again", 1)
	third := a.expect("ready", 2)
	if end := a.expect("end", 0); end.PID != second.PID || third.Gen != 1 {
		t.Errorf("%+v, then %+v", end, third)
	}
	a.expect("end", 1) // the first generation, after the probation of the third process
	for range 50 {
		if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != third.PID {
			t.Fatalf("process %d serves too", st.PID)
		}
	}
	if pid := pidIn(t, a, second.PID); pid != third.PID {
		t.Errorf("the pid file names %d, want %d", pid, third.PID)
	}
}

// TestRollBackKeepsPaths: a new process that is sent back leaves the unix sockets that it
// was given, also if it takes the old one for dead, and removes those of its own.
func TestRollBackKeepsPaths(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"/hangup", "/reject?why=bad"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", "-probation", "4m", "-listen", "unix,app.sock", "-listen", "unix,old.sock")
			first := a.expect("ready", 0)
			sock := filepath.Join(a.dir, "app.sock")
			listen(t, a, "unix,app.sock unix,own.sock")
			a.signal(first.PID, syscall.SIGUSR2)
			a.expect("ready", 1)
			_ = a.call(sock, how)
			a.expectLog("this process serves again", 1)
			a.expect("end", 0)
			for name, want := range map[string]bool{"app.sock": true, "old.sock": true, "own.sock": false} {
				if _, err := get(filepath.Join(a.dir, name), "/stats"); (err == nil) != want {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// TestStopCrossesRollback: a new process that stood still finds a stop signal, which was meant for
// the service, and the old one's word that it serves again, in any order. If it takes the signal
// first the old one hears of it, and stops too; else it leaves the old one's socket alone.
func TestStopCrossesRollback(t *testing.T) {
	t.Parallel()
	for range 3 {
		a := start(t, "app", "-probation", "4m", "-listen", "unix,app.sock")
		first := a.expect("ready", 0)
		a.signal(first.PID, syscall.SIGUSR2)
		second := a.expect("ready", 1)
		a.freeze(second.PID)
		a.expectLog("upgrade rolled back", 1)
		a.signal(second.PID, syscall.SIGTERM)
		a.signal(second.PID, syscall.SIGCONT)
		a.expect("end", 0)
		if !a.Until(func() bool {
			_, err := os.Stat(filepath.Join(a.dir, "app.sock"))
			return a.out.Closed() || err == nil && !strings.Contains(a.log(), "was asked to stop it")
		}) {
			t.Error("the old process neither serves nor ends")
		}
	}
}

// TestUnclaimedOnProbation: what the new version does not listen on any more is the old
// one's until there is no way back; and a unix socket that the old one closes meanwhile
// is the new one's.
func TestUnclaimedOnProbation(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m", "-listen", "unix,app.sock", "-listen", "tcp,127.0.0.1:0")
	first := a.expect("ready", 0)
	sock := filepath.Join(a.dir, "app.sock")
	listen(t, a, "unix,app.sock")
	kept := rawhttp.Dial(t, sock)
	kept.Ask("/")
	kept.Answer()
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	for addr, want := range map[string]int{first.Addrs[1]: first.PID, sock: second.PID} {
		if st := getJSON[core.Ledger](t, addr, "/stats"); st.PID != want {
			t.Errorf("process %d answers at %s, want %d", st.PID, addr, want)
		}
	}
	if _, err := get(first.Addrs[1], "/close"); err != nil { // the old one's listeners
		t.Error(err)
	}
	if st := getJSON[core.Ledger](t, sock, "/stats"); st.PID != second.PID {
		t.Errorf("%+v", st)
	}
}

// TestStopAfterRollback: a new process that stands still is ended, also if the old one is
// asked to stop right after it has taken the service back.
func TestStopAfterRollback(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m")
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.freeze(second.PID)
	a.expectLog("upgrade rolled back", 1)
	a.signal(first.PID, syscall.SIGTERM)
	a.expect("end", 0)
	a.expectGone()
	ln, err := net.Listen("tcp", first.Addrs[0])
	must(t, err)
	must(t, ln.Close())
}

// TestLongProbation: the longest one that can be said does not end at once.
func TestLongProbation(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", time.Duration(math.MaxInt64).String())
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	a.signal(second.PID, syscall.SIGHUP) // its answer is behind whatever ends the probation
	if err := a.upgrade(first.Addrs[0]); err == nil || !strings.Contains(err.Error(), core.ErrInProgress.Error()) {
		t.Errorf("upgrade = %v", err)
	}
}

package core_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// inTheExecve ends what the first process still drains, and sends it the signal when it has another image, before
// that handles signals. On a busy machine the signal can come a little later.
func (a *app) inTheExecve(sig syscall.Signal, drained func()) {
	a.t.Helper()
	pid := a.cmd.Process.Pid
	drained()
	for late := time.Now().Add(patience); ; time.Sleep(100 * time.Microsecond) {
		env, _ := os.ReadFile("/proc/" + itoa(pid) + "/environ") // for a moment there is none
		if supervisesOn.Match(env) {
			break
		}
		if time.Now().After(late) {
			a.t.Fatal("the first process does not become the supervisor")
		}
	}
	a.signal(pid, sig)
}

// drains starts an app whose first process is held in its drain, until drained is called, while the next one serves.
func drains(t *testing.T, a *app) (first event, drained func()) {
	t.Helper()
	a.env = append(a.env, "GRACEX_MODE=")
	a.start("app", "./app", "-probation", "0", "-drain", "4m")
	first = a.expect("ready", 0)
	stream := download(t, first.Addrs[0])
	a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expectLog("msg=upgraded", 1)
	return first, func() { stream.Close() }
}

// TestWatched_SignalInTheExecve waits, or is lost, or ends the supervisor, after which the worker stops gracefully.
func TestWatched_SignalInTheExecve(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{
		syscall.SIGUSR2, syscall.SIGUSR1, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT,
	} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			first, drained := drains(t, a)
			slow := rawhttp.Dial(t, first.Addrs[0])
			slow.Ask("/?d=1s")
			a.expect("handling", 0)
			a.inTheExecve(sig, drained)
			switch sig {
			case syscall.SIGUSR2:
				a.expect("ready", 2)
			case syscall.SIGUSR1:
				a.expect("reopen", 0)
			case syscall.SIGHUP:
				a.becomesSupervisor()
				a.signal(a.cmd.Process.Pid, syscall.SIGUSR2)
				a.expect("ready", 2)
			default:
				slow.Answer()
				a.expectGone()
				// The runtime ends by SIGQUIT with status 2.
				if status := a.AwaitExit(); status > 0 && (sig != syscall.SIGQUIT || status != 2) {
					t.Errorf("exit status %d", status)
				}
				return
			}
			slow.Answer()
			slow.Close()
			a.becomesSupervisor()
			a.stopsWell()
		})
	}
}

// TestWatched_StopInTheExecveOfPID1 ends the container at once, or is lost, or is a stop.
func TestWatched_StopInTheExecveOfPID1(t *testing.T) {
	t.Parallel()
	a := installed(t)
	inNamespaces(t, a, syscall.CLONE_NEWPID)
	first, drained := drains(t, a)
	a.inTheExecve(syscall.SIGTERM, drained)
	a.Await("it has ended, or is the supervisor", func() bool {
		name, err := os.ReadFile("/proc/" + itoa(a.cmd.Process.Pid) + "/comm")
		return err != nil || string(name) == "app\n" || !a.Running()
	})
	if a.cmd.Process.Signal(syscall.SIGTERM) == nil {
		t.Log("it was not over")
	}
	a.expectGone()
	if _, err := load.Ask(load.Config{Addr: first.Addrs[0], Timeout: patience}, ""); err == nil {
		t.Error("the service has not ended")
	}
}

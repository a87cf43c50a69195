//go:build unix

package core_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestSupervised_StopReachesTheProgram, whose main waits for the signal itself, and which is stopped once.
func TestSupervised_StopReachesTheProgram(t *testing.T) {
	t.Parallel()
	a, _, first := supervisedServing(t, "-linger")
	slow := rawhttp.Dial(t, first.Addrs[0])
	slow.Ask("/?d=100ms")
	a.expect("handling", 0)
	a.stopsWell()
	slow.Answer()
	a.expect("lingers", 0)
	if strings.Contains(a.log(), "second stop") {
		t.Error("the signal counts twice")
	}
}

// TestSupervised_MainEndsWithTheSupervisor, which was killed, although it waits for a signal itself.
func TestSupervised_MainEndsWithTheSupervisor(t *testing.T) {
	t.Parallel()
	a, master, _ := supervisedServing(t, "-linger")
	a.signal(master, syscall.SIGKILL)
	a.expect("lingers", 0)
	a.expectGone()
}

// TestSupervised_ProgramWithAnotherName (exec -a) is started again after a crash, whichever process supervises.
func TestSupervised_ProgramWithAnotherName(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", "supervised"} {
		t.Run("mode "+mode, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env, a.argv0 = []string{core.EnvMode + "=" + mode}, "nosuchprogram"
			a.start("app", "./app", "-probation", "0")
			a.expect("ready", 0)
			a.signal(a.cmd.Process.Pid, syscall.SIGHUP)
			second := a.expect("ready", 1)
			a.expectLog("generation ended", 1)
			a.signal(second.PID, syscall.SIGKILL)
			a.expect("ready", 2)
			if mode == "" {
				a.becomesSupervisor() // a stop in the moment of the execve ends it
			}
			a.stopsWell()
		})
	}
}

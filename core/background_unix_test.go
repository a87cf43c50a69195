//go:build unix

package core_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// appWork is background work that no two processes may do at a time. It is busy after its context has ended for as
// long as the mode says so.
func appWork(ctx context.Context) error {
	gen := core.Generation()
	if mode() == "fails" {
		emit(event{Event: "fails", Gen: gen})
		return errors.New("no queue")
	}
	release := takeAlone("working")
	if release == nil {
		emit(event{Event: "overlap", Gen: gen})
		return nil
	}
	emit(event{Event: "works", Gen: gen})
	<-ctx.Done()
	emit(event{Event: "told", Gen: gen})
	stayIn("busy")
	check(release())
	emit(event{Event: "rests", Gen: gen})
	return nil
}

// takeAlone returns what lets go of the file, which the end of the process does, too. It is nil if another process that
// lives has it.
func takeAlone(name string) (release func() error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	check(err)
	// The kernel closes the files of a process that ends one after the other, this one perhaps after the handover
	// socket. A function that works has it for longer than a moment.
	for end := time.Now().Add(time.Second); syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil; {
		if time.Now().After(end) {
			check(f.Close())
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return f.Close
}

// working starts an app with background work.
func working(t *testing.T, args ...string) (*app, event) {
	t.Helper()
	return workingWith(t, nil, args...)
}

// workingWith is working with more variables.
func workingWith(t *testing.T, env []string, args ...string) (*app, event) {
	t.Helper()
	a := installed(t)
	a.env = slices.Concat(env, []string{"APP_WORK=1"})
	a.start("app", "./app", args...)
	t.Cleanup(func() {
		if over := a.of("overlap"); len(over) > 0 {
			t.Errorf("two processes worked at a time: %v", over)
		}
	})
	first := a.expect("ready", 0)
	a.worksIn(first, 0)
	return a, first
}

// worksIn expects that the n-th process that works is ev's.
func (a *app) worksIn(ev event, n int) {
	a.t.Helper()
	if got := a.expect("works", n); got.PID != ev.PID {
		a.t.Errorf("generation %d works, want %d", got.Gen, ev.Gen)
	}
}

// TestWhileCurrent_MovesWhenTheOldFunctionHasReturned: the old process works on during the probation, and the new one
// begins when that has returned, which takes a while.
func TestWhileCurrent_MovesWhenTheOldFunctionHasReturned(t *testing.T) {
	t.Parallel()
	a, first := working(t, "-probation", "4m")
	a.setMode("busy")
	second := a.next(first)
	if told := a.of("told"); len(told) > 0 {
		t.Errorf("%v on probation", told)
	}
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	a.expect("told", 0)
	a.expectLog("background work waits", 1)
	if works := a.of("works"); len(works) != 1 {
		t.Errorf("%v", works)
	}
	a.setMode("")
	a.worksIn(second, 1)
	a.endsWell(0)
	a.signal(second.PID, syscall.SIGTERM)
	a.expect("rests", 1)
	a.endsWell(1)
}

// TestWhileCurrent_StaysAtARollback: a new process that does not pass its probation has not worked, and the old one
// has not been interrupted.
func TestWhileCurrent_StaysAtARollback(t *testing.T) {
	t.Parallel()
	a, first := working(t, "-probation", "4m")
	a.setMode("rejects")
	a.next(first)
	a.expectLog("upgrade rolled back", 1)
	a.expect("end", 0)
	a.setMode("")
	if n := len(a.of("works")) + len(a.of("told")); n != 1 {
		t.Errorf("%v", a.all())
	}
	a.stopAll(first.PID)
	a.expect("rests", 0)
}

// TestWhileCurrent_ComesBackWithTheService: the new process is killed while the old one drains.
func TestWhileCurrent_ComesBackWithTheService(t *testing.T) {
	t.Parallel()
	a, first := working(t, "-drain", "4m")
	c := download(t, first.Addrs[0])
	second := a.next(first)
	a.worksIn(second, 1)
	a.signal(second.PID, syscall.SIGKILL)
	a.worksIn(first, 2)
	c.Close()
	third := a.next(first)
	a.worksIn(third, 3)
	a.endsWell(0)
}

// TestWhileCurrent_ComesBackWhenTheOtherFunctionHasReturned: the new process gives the service back while the old one
// drains, and is busy.
func TestWhileCurrent_ComesBackWhenTheOtherFunctionHasReturned(t *testing.T) {
	t.Parallel()
	a, first := working(t, "-drain", "4m")
	download(t, first.Addrs[0])
	second := a.next(first)
	a.worksIn(second, 1)
	a.setMode("busy")
	waited := strings.Count(a.log(), "background work waits")
	must(t, a.call(second.Addrs[0], "/break"))
	a.expectLog("upgrade rolled back late", 1)
	a.expectLog("background work waits", waited+1)
	if works := a.of("works"); len(works) != 2 {
		t.Errorf("%v", works)
	}
	a.setMode("")
	a.worksIn(first, 2)
}

// TestWhileCurrent_HungFunctionIsCutAtTheDeadline: the new process waits for the end of the old one. The one in
// between, which has never worked, does not stay for that.
func TestWhileCurrent_HungFunctionIsCutAtTheDeadline(t *testing.T) {
	t.Parallel()
	a, first := working(t, "-drain", "4s")
	a.setMode("busy")
	second := a.next(first)
	a.expect("told", 0)
	a.expectLog("msg=upgraded", 1)
	third := a.next(second)
	if end := a.endsWell(0); end.PID != second.PID {
		t.Errorf("%+v ended, want the second generation", end)
	}
	if end := a.endsWell(1); end.PID != first.PID {
		t.Errorf("%+v ended, want the first generation", end)
	}
	a.expectLog("background=1", 1)
	a.worksIn(third, 1)
	a.setMode("")
}

// TestWhileCurrent_StopWaits for the function, as for a request.
func TestWhileCurrent_StopWaits(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]bool{"returns": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drain := "4m"
			if hangs {
				drain = "100ms"
			}
			a, first := working(t, "-drain", drain, "-prestop", "1ms")
			a.setMode("busy")
			a.signal(first.PID, syscall.SIGTERM)
			a.expect("told", 0)
			if !hangs {
				a.setMode("")
				a.expect("rests", 0)
				a.endsWell(0)
				return
			}
			expectText(t, a.expect("end", 0).Err, core.ErrCut.Error(), "1 background function")
		})
	}
}

// TestWhileCurrent_IsCalledAgainAfterAnError, which does not end the service.
func TestWhileCurrent_IsCalledAgainAfterAnError(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = append(a.env, "APP_WORK=1")
	a.setMode("fails")
	a.start("app", "./app")
	a.expect("fails", 0)
	a.setMode("")
	a.worksIn(a.expect("ready", 0), 0)
	a.expectLog("background work has failed; it is called again", 1)
}

// TestWhileCurrent_WaitsForAnOldProcessWithoutIt, which may have work of its own that gracex does not know of.
func TestWhileCurrent_WaitsForAnOldProcessWithoutIt(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "4m")
	c := download(t, first.Addrs[0])
	a.write("work", "")
	second := a.next(first)
	a.expectLog("background work waits", 1)
	if works := a.of("works"); len(works) > 0 {
		t.Errorf("%v", works)
	}
	c.Close()
	a.endsWell(0)
	a.worksIn(second, 0)
}

// TestWhileCurrent_OneAtATimeUnderASupervisor: a worker that follows a crash waits for one that still drains, whose
// function has not returned.
func TestWhileCurrent_OneAtATimeUnderASupervisor(t *testing.T) {
	t.Parallel()
	a, first := workingWith(t, []string{core.EnvMode + "=supervised"}, "-drain", "4m")
	a.setMode("busy")
	second := a.next(first)
	a.expectLog("msg=upgraded", 1)
	third := a.next(second)
	a.endsWell(0)
	a.signal(third.PID, syscall.SIGKILL)
	fourth := a.expect("ready", 3)
	a.expectLog("background work waits", 3)
	if works := a.of("works"); len(works) != 1 {
		t.Errorf("%v", works)
	}
	a.setMode("")
	a.worksIn(fourth, 1)
	a.stopsWell()
}

// TestWhileCurrent_CutFunctionOfAWatchedFirstProcess is waited for until nothing of the program is left in that
// process, which goes on as the supervisor.
func TestWhileCurrent_CutFunctionOfAWatchedFirstProcess(t *testing.T) {
	t.Parallel()
	for name, stays := range map[string]bool{"until its execve": false, "until it has returned": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needsProc(t)
			args := []string{"-probation", "0", "-drain", "100ms"}
			if stays {
				args = append(args, "-goroutine")
			}
			a, _ := workingWith(t, []string{core.EnvMode + "="}, args...)
			pid := a.cmd.Process.Pid
			a.setMode("busy")
			a.signal(pid, syscall.SIGUSR2)
			second := a.expect("ready", 1)
			a.expectLog("background work does not return", 1)
			if stays {
				a.expectLog("the program stays in this process", 1)
				if works := a.of("works"); len(works) != 1 {
					t.Errorf("%v", works)
				}
				a.setMode("")
				a.expect("rests", 0)
			} else {
				a.becomesSupervisor()
				a.setMode("")
			}
			a.worksIn(second, 1)
			a.signal(pid, syscall.SIGTERM)
			a.exitsWell()
		})
	}
}

// TestWhileCurrent_IsKnownAfterTheExecve: the first process drains while two more upgrades pass, and then is the
// supervisor. It still knows whose function runs.
func TestWhileCurrent_IsKnownAfterTheExecve(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := workingWith(t, []string{core.EnvMode + "="}, "-probation", "0", "-drain", "4m")
	c := download(t, first.Addrs[0])
	second := a.next(first)
	a.worksIn(second, 1)
	a.setMode("busy")
	third := a.next(second)
	a.expectLog("msg=upgraded", 2)
	fourth := a.next(third)
	if end := a.endsWell(0); end.PID != third.PID {
		t.Errorf("%+v ended, want the third generation", end)
	}
	c.Close()
	a.becomesSupervisor()
	a.signal(fourth.PID, syscall.SIGKILL)
	fifth := a.expect("ready", 4)
	a.expectLog("or they have ended\" generation=4", 1)
	if works := a.of("works"); len(works) != 2 {
		t.Errorf("%v", works)
	}
	a.setMode("")
	a.worksIn(fifth, 2)
	a.stopsWell()
}

// TestWhileCurrent_NextOneOfAWorkerThatWaits waits for the same function: the worker that was started after a crash
// ends before that function returns.
func TestWhileCurrent_NextOneOfAWorkerThatWaits(t *testing.T) {
	t.Parallel()
	a, first := workingWith(t, []string{core.EnvMode + "=supervised"}, "-drain", "4m")
	a.setMode("busy")
	second := a.next(first)
	a.expectLog("msg=upgraded", 1)
	third := a.next(second)
	a.endsWell(0)
	a.signal(third.PID, syscall.SIGKILL)
	fourth := a.expect("ready", 3)
	fifth := a.next(fourth)
	a.endsWell(1)
	a.passesOnUnbegun(fifth)
}

// TestWhileCurrent_ProcessBetweenIsKilled: the supervisor knows of the function before it.
func TestWhileCurrent_ProcessBetweenIsKilled(t *testing.T) {
	t.Parallel()
	a, first := workingWith(t, []string{core.EnvMode + "=supervised"}, "-drain", "4m")
	a.setMode("busy")
	second := a.next(first)
	a.expectLog("msg=upgraded", 1)
	download(t, second.Addrs[0])
	third := a.next(second)
	a.expectLog("msg=upgraded", 2)
	a.signal(second.PID, syscall.SIGKILL)
	a.passesOnUnbegun(third)
}

// passesOnUnbegun upgrades the process of ev, and expects that it ends without having begun its work, for which it
// has had the time until then. The next one does when the first process's function has returned.
func (a *app) passesOnUnbegun(ev event) {
	a.t.Helper()
	ended := len(a.of("end"))
	next := a.next(ev)
	if end := a.endsWell(ended); end.PID != ev.PID {
		a.t.Errorf("%+v ended, want generation %d", end, ev.Gen)
	}
	if n := strings.Count(a.log(), "background work begins"); n != 1 {
		a.t.Errorf("background work has begun %d times, want once", n)
	}
	a.setMode("")
	a.worksIn(next, 1)
	a.stopsWell()
}

// TestWhileCurrent_WaitsForNoMain: the process in between says that it has no work, and that the one before it is not
// its to wait for, although its main does not return.
func TestWhileCurrent_WaitsForNoMain(t *testing.T) {
	t.Parallel()
	a, first := working(t, "-drain", "4m", "-linger")
	a.setMode("busy")
	second := a.next(first)
	a.expectLog("msg=upgraded", 1)
	third := a.next(second)
	if ev := a.expect("lingers", 0); ev.PID != second.PID {
		t.Errorf("%+v lingers, want generation %d", ev, second.Gen)
	}
	a.freeze(second.PID) // so that its end is not near
	a.setMode("")
	a.worksIn(third, 1)
	if !slices.Contains(a.alive(), second.PID) {
		t.Error("generation 1 has ended first")
	}
	a.signal(second.PID, syscall.SIGCONT)
	a.endsWell(0)
	a.endsWell(1)
}

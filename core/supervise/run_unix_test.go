//go:build unix

package supervise

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestCrashBesideAFailedUpgrade: the new process of an upgrade that failed and the worker that serves end together.
// Whichever end is known first, the next worker gets the listeners of the one that served.
func TestCrashBesideAFailedUpgrade(t *testing.T) {
	t.Parallel()
	for name, failedFirst := range map[string]bool{"the failed one first": true, "the failed one last": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serves, failed := &worker{pid: 7, state: stateCurrent, kept: &bundle{}}, &worker{}
			m := &supervisor{
				launch: spawn.Launch{Argv: []string{"./no-such-program"}}, cfg: Config{}.withDefaults(), served: true, quit: make(chan struct{}),
				workers: []*worker{serves, failed},
			}
			defer close(m.quit)
			kept := serves.kept
			ends := []func(){
				func() { failed.gone, failed.overdue = true, true },
				func() { serves.gone, serves.status = true, &exitStatus{syscall.WaitStatus(syscall.SIGKILL)} },
			}
			if failedFirst {
				serves.gone = true // and its status has not come
			} else {
				slices.Reverse(ends)
			}
			ends[0]()
			m.look()
			if m.failures != 0 || m.restart != nil || len(m.workers) != 1 {
				t.Errorf("%d crashes, %d workers after the first end", m.failures, len(m.workers))
			}
			ends[1]()
			m.look()
			if m.failures == 0 || m.kept != kept || len(m.workers) != 0 {
				t.Errorf("%d crashes, %d workers, the listeners are kept: %v", m.failures, len(m.workers), m.kept == kept)
			}
		})
	}
}

// TestStopBeforeTheFirstWord: a stop for a worker that was started by another one, and has not said yet who
// it is, is not lost: the one before it, which it went to first, has ended.
func TestStopBeforeTheFirstWord(t *testing.T) {
	t.Parallel()
	ours, theirs := unixPair(t)
	serves := &worker{pid: 7, state: stateProbation, gone: true, asked: []wire.SignalMsg{{ID: 1, Signal: int(syscall.SIGTERM)}},
		status: &exitStatus{syscall.WaitStatus(syscall.SIGKILL)}}
	next := &worker{conn: ours}
	m := &supervisor{cfg: Config{}.withDefaults(), served: true, known: true, stops: 1, asked: true, quit: make(chan struct{}), workers: []*worker{serves, next}}
	defer close(m.quit)
	m.look()
	next.identify(os.Getpid())
	next.stand(wire.StandMsg{State: stateStarting})
	m.stands(next)
	defer next.release()
	hears(t, theirs, syscall.SIGTERM)
}

// hears checks that the next word to a worker is the signal.
func hears(t *testing.T, worker net.Conn, sig syscall.Signal) {
	t.Helper()
	var msg wire.SignalMsg
	f := must.Get(wire.Read(worker))(t)
	must.Do(t, f.Decode(&msg))
	if f.Type != wire.Signal || syscall.Signal(msg.Signal) != sig {
		t.Errorf("it heard %v %+v, want %v", f.Type, msg, sig)
	}
}

// TestSignal_OfTheProgramIsNotForAWorkerThatDrains: one that the program handles itself came while the worker handed
// over, of which the supervisor had not heard.
func TestSignal_OfTheProgramIsNotForAWorkerThatDrains(t *testing.T) {
	t.Parallel()
	const sig = syscall.SIGWINCH
	for name, known := range map[string]bool{"the next one is known": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := unixPair(t)
			nextOurs, nextTheirs := unixPair(t)
			old := &worker{conn: ours, pid: 7, state: stateCurrent}
			next := &worker{conn: nextOurs, pid: 8, generation: 1, state: stateStarting}
			m := newSupervisor(Config{}, spawn.Launch{})
			defer close(m.quit)
			m.known, m.workers = true, []*worker{old, next}
			m.pass(sig)
			hears(t, theirs, sig)
			answer := func(id int) {
				payload := must.Get(json.Marshal(wire.HeardMsg{ID: id, Unknown: true}))(t)
				m.heard(word{worker: old, frame: wire.Frame{Type: wire.Heard, Payload: payload}})
			}
			if !known {
				answer(1)
			}
			next.stand(wire.StandMsg{Generation: 1, State: stateCurrent})
			m.stands(next)
			if known {
				answer(1)
			}
			hears(t, nextTheirs, sig)
		})
	}
}

func unixPair(t *testing.T) (ours *net.UnixConn, theirs net.Conn) {
	t.Helper()
	c, end, err := fd.Pair()
	must.Do(t, err)
	theirs = must.Get(fd.Conn(end))(t)
	t.Cleanup(func() { c.Close(); theirs.Close() })
	_ = theirs.SetReadDeadline(time.Now().Add(time.Minute))
	return c.(*net.UnixConn), theirs
}

// TestReopen_WaitsForTheFirstWord keeps a SIGUSR1 for a worker that has not said yet that it serves, and can have
// opened its logs before they were rotated.
func TestReopen_WaitsForTheFirstWord(t *testing.T) {
	t.Parallel()
	ours, theirs := unixPair(t)
	w := &worker{conn: ours, pid: 7}
	m := &supervisor{cfg: Config{}.withDefaults(), known: true, workers: []*worker{w}, quit: make(chan struct{})}
	defer close(m.quit)
	m.pass(syscall.SIGUSR1)
	w.state = stateCurrent
	m.stands(w)
	hears(t, theirs, syscall.SIGUSR1)
}

// TestLinger_WorkerIsEndedWhoseMainDoesNotReturn, which has handed over to one that has crashed.
func TestLinger_WorkerIsEndedWhoseMainDoesNotReturn(t *testing.T) {
	t.Parallel()
	m := newSupervisor(Config{}, spawn.Launch{})
	defer close(m.quit)
	ours, _ := unixPair(t)
	process := exec.Command("/bin/sh", "-c", `trap 'echo hurried' TERM; echo; while :; do read x; done`)
	in := must.Get(process.StdinPipe())(t)
	defer in.Close()
	out := must.Get(process.StdoutPipe())(t)
	must.Do(t, process.Start())
	said := bufio.NewScanner(out)
	said.Scan()
	w := &worker{conn: ours}
	m.workers = []*worker{w}
	for _, state := range []uint8{stateDraining, stateStopped} {
		var f wire.Frame
		f.Type, f.Payload = wire.Stand, must.Get(json.Marshal(wire.StandMsg{PID: process.Process.Pid, State: state}))(t)
		m.heard(word{worker: w, frame: f, by: fd.Speaker{PID: process.Process.Pid, UID: os.Getuid()}})
		if drained := state == stateStopped; w.drained != drained {
			t.Errorf("it has drained in state %d: %v", state, w.drained)
		}
	}
	m.endMain(w)
	if said.Scan(); said.Text() != "hurried" {
		t.Errorf("it says %q", said.Text())
	}
	m.endMain(w)
	_ = process.Wait()
	if got := process.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != syscall.SIGKILL {
		t.Errorf("it is ended by %v", got)
	}
	w.release()
}

// TestStop_OfAWorkerThatStarts is a stop like any other: it can't handle the signal yet, and ends by that.
func TestStop_OfAWorkerThatStarts(t *testing.T) {
	t.Parallel()
	starts := &worker{gone: true, status: &exitStatus{syscall.WaitStatus(syscall.SIGTERM)}}
	m := &supervisor{cfg: Config{}.withDefaults(), served: true, known: true, asked: true, workers: []*worker{starts}}
	m.look()
	if !m.over() || m.code != 0 {
		t.Errorf("it is over: %v, with exit status %d", m.over(), m.code)
	}
}

// TestCrash_IsAnsweredIfTheWorkerBeforeHasHandedOverForGood, of which it was not heard yet when the one that serves
// was killed. Nobody would serve.
func TestCrash_IsAnsweredIfTheWorkerBeforeHasHandedOverForGood(t *testing.T) {
	t.Parallel()
	for name, goes := range map[string]func(*supervisor, *worker){
		"says so": func(m *supervisor, old *worker) {
			old.stand(wire.StandMsg{State: stateDraining})
			m.stands(old)
		},
		"ends": func(m *supervisor, old *worker) {
			old.gone, old.overdue = true, true
			m.look()
		},
	} {
		for _, state := range []uint8{stateProbation, stateDraining} {
			old := &worker{state: state, wayBack: state == stateDraining, kept: &bundle{}}
			killed := &worker{state: stateCurrent, generation: 1, gone: true, status: &exitStatus{syscall.WaitStatus(syscall.SIGKILL)}}
			m := newSupervisor(Config{}, spawn.Launch{})
			defer close(m.quit)
			m.served, m.known, m.failures, m.workers = true, true, 1, []*worker{old, killed}
			m.look()
			if m.crash != killed || m.restart != nil {
				t.Errorf("%s in state %d: the crash is answered at once, or never: %+v", name, state, m.crash)
			}
			kept := old.kept
			goes(m, old)
			if m.restart == nil || m.kept != kept || m.crash != nil || m.ending {
				t.Errorf("%s in state %d: no worker is started, or without the listeners: %+v", name, state, m)
			}
		}
	}
}

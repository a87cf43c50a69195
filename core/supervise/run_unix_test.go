//go:build unix

package supervise

import (
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
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
				cfg: Config{Argv: []string{"./no-such-program"}}.withDefaults(), served: true, quit: make(chan struct{}),
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
	m := &supervisor{cfg: Config{}.withDefaults(), served: true, stops: 1, quit: make(chan struct{}), workers: []*worker{serves, next}}
	defer close(m.quit)
	m.look()
	next.stand(wire.StandMsg{PID: os.Getpid(), State: stateStarting})
	m.stands(next)
	defer next.release()
	var msg wire.SignalMsg
	f, err := wire.Read(theirs)
	if err != nil || f.Type != wire.Signal || f.Decode(&msg) != nil || msg.Signal != int(syscall.SIGTERM) {
		t.Errorf("it heard %v %+v, %v", f.Type, msg, err)
	}
}

func unixPair(t *testing.T) (ours *net.UnixConn, theirs net.Conn) {
	t.Helper()
	c, end, err := fd.Pair()
	must.Do(t, err)
	if theirs, err = fd.Conn(end); err != nil {
		t.Fatal(err)
	}
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
	m := &supervisor{cfg: Config{}.withDefaults(), workers: []*worker{w}, quit: make(chan struct{})}
	defer close(m.quit)
	m.pass(syscall.SIGUSR1)
	w.state = stateCurrent
	m.stands(w)
	must.Do(t, theirs.SetReadDeadline(time.Now().Add(time.Minute)))
	f, err := wire.Read(theirs)
	var msg wire.SignalMsg
	if err == nil {
		err = f.Decode(&msg)
	}
	if err != nil || f.Type != wire.Signal || syscall.Signal(msg.Signal) != syscall.SIGUSR1 {
		t.Errorf("%v %+v, %v", f.Type, msg, err)
	}
}

//go:build unix

package supervise

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestReturned_IsSaidUntilItWasHeard: a worker that can't be told now waits for the word, and hears it later.
func TestReturned_IsSaidUntilItWasHeard(t *testing.T) {
	t.Parallel()
	ours, end, err := fd.Pair()
	must.Do(t, err)
	theirs := must.Get(fd.Conn(end))(t)
	defer theirs.Close()
	broken, end, err := fd.Pair()
	must.Do(t, err)
	defer fd.CloseAll([]int{end})
	must.Do(t, broken.Close())
	w := &worker{conn: broken.(*net.UnixConn), waits: true}
	m := &supervisor{workers: []*worker{w}}
	m.tellReturned()
	if !w.waits {
		t.Error("it was not told, and is not to be told any more")
	}
	w.conn = ours.(*net.UnixConn)
	m.tellReturned()
	if f := must.Get(wire.Read(theirs))(t); f.Type != wire.Returned || w.waits {
		t.Errorf("it hears %v, and waits: %v", f.Type, w.waits)
	}
}

// TestStart_WithoutListenersThatCantBeNamed: the service comes back without them, and opens them anew.
func TestStart_WithoutListenersThatCantBeNamed(t *testing.T) {
	t.Parallel()
	program := must.Get(exec.LookPath("true"))(t)
	m := newSupervisor(Config{}, spawn.Launch{Argv: []string{program}, Umask: -1})
	m.kept = &bundle{words: []wire.Listener{{Network: "unix", Address: strings.Repeat("x", wire.MaxPayload)}}}
	w, err := m.start(1)
	must.Do(t, err)
	defer w.conn.Close()
	var status syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(w.child, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	must.Do(t, err)
	if m.kept != nil || status != 0 {
		t.Errorf("kept: %v, status %v", m.kept != nil, status)
	}
}

// TestAccount_OfTheCurrentWorkerIsKept: the worker that is current has counted all that those before it have. What one
// that drains tells later is less, and a worker after a crash would begin with it.
func TestAccount_OfTheCurrentWorkerIsKept(t *testing.T) {
	t.Parallel()
	m := &supervisor{}
	tells := func(w *worker, totals string) {
		t.Helper()
		ours, end, err := fd.Pair()
		must.Do(t, err)
		theirs := must.Get(fd.Conn(end))(t)
		defer theirs.Close()
		w.conn = ours.(*net.UnixConn)
		defer ours.Close()
		b := must.Get(wire.Append(nil, wire.Account, wire.AccountMsg{Totals: []byte(totals)}))(t)
		m.heard(word{worker: w, frame: must.Get(wire.Read(bytes.NewReader(b)))(t)})
		if f := must.Get(wire.Read(theirs))(t); f.Type != wire.Noted {
			t.Errorf("it hears %v", f.Type)
		}
	}
	drains, serves := &worker{generation: 1, state: stateDraining}, &worker{generation: 2, state: stateCurrent}
	m.workers = []*worker{drains, serves}
	tells(serves, `{"served":2}`)
	tells(drains, `{"served":1}`)
	if string(m.totals) != `{"served":2}` {
		t.Errorf("kept: %s", m.totals)
	}
	tells(serves, `"`+strings.Repeat("x", wire.MaxTotals)+`"`)
	if string(m.totals) != `{"served":2}` {
		t.Errorf("%d bytes are kept", len(m.totals))
	}
}

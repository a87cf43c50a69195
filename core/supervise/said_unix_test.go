//go:build unix

package supervise

import (
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

//go:build unix

package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// start starts a worker with the listeners from descriptor 3 up and the link after them,
// on which a welcome waits.
func (m *supervisor) start(generation int) (*worker, error) {
	l, path, err := m.find()
	if err != nil {
		return nil, err
	}
	conn, end, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	defer closeFiles([]int{end})
	welcome := wire.WelcomeMsg{PID: os.Getpid(), Generation: generation, Working: m.working(nil)}
	var kept bundle
	if m.kept != nil {
		kept = *m.kept
	}
	welcome.Listeners = kept.words
	_ = conn.SetWriteDeadline(time.Now().Add(timing.Say))
	if err = wire.Write(conn, wire.Welcome, welcome); errors.Is(err, wire.ErrTooLong) {
		m.cfg.Log.Error("the listeners of the worker before are too many to be named; they are opened anew",
			"listeners", kept.count(), "error", err)
		m.kept.close()
		m.kept, kept, welcome.Listeners = nil, bundle{}, nil
		err = wire.Write(conn, wire.Welcome, welcome)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}}
	for _, s := range slices.Concat(kept.files, []int{end}) {
		attr.Files = append(attr.Files, uintptr(s))
	}
	info := wire.LinkInfo{Version: wire.Version, Descriptor: len(attr.Files) - 1, PID: os.Getpid()}
	attr.Dir, attr.Env = l.Dir, l.Environ(wire.EnvLink+"="+info.String())
	fd.CloseOnExecFrom(fd.First)
	if m.blocked != nil { // a child has the signal mask of the thread that forks
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unblockInThread(m.blocked)
	}
	pid, err := syscall.ForkExec(path, l.Argv, attr)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", path, os.NewSyscallError("exec", err))
	}
	w := &worker{conn: conn.(*net.UnixConn), generation: generation, child: pid, started: true, waits: true}
	w.identify(pid)
	return w, nil
}

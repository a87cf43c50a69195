//go:build unix

package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// start starts a worker with the listeners and after them the link, on which a welcome waits.
func (m *supervisor) start(generation int) (*worker, error) {
	l, path, err := m.find()
	if err != nil {
		return nil, err
	}
	conn, end, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	defer fd.CloseAll([]int{end})
	welcome := wire.WelcomeMsg{PID: os.Getpid(), Generation: generation, Working: m.working(nil), Totals: m.totals}
	var kept bundle
	if m.kept != nil {
		kept = *m.kept
	}
	welcome.Listeners = kept.words
	_ = conn.SetWriteDeadline(time.Now().Add(timing.Say))
	if err = wire.Write(conn, wire.Welcome, welcome); errors.Is(err, wire.ErrTooLong) {
		welcome.Totals = nil
		err = wire.Write(conn, wire.Welcome, welcome)
	}
	if errors.Is(err, wire.ErrTooLong) {
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
	files := slices.Concat(kept.files, []int{end})
	info := wire.LinkInfo{Version: wire.Version, Descriptor: fd.First + len(files) - 1, PID: os.Getpid()}
	if m.blocked != nil { // a child has the signal mask of the thread that forks
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unblockInThread(m.blocked)
	}
	pid, bell, err := spawn.StartWorker(path, l, info.String(), files)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	release := l.NextRelease()
	if l.IsOfRelease() {
		release = m.soak.Good
	}
	w := &worker{fromRelease: release, conn: conn.(*net.UnixConn), generation: generation, child: pid, bell: bell, started: true, waits: true}
	w.identify(pid)
	return w, nil
}

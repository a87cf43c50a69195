//go:build unix

package supervise

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// start starts a worker with the listeners from descriptor 3 up and the link after them,
// on which a welcome waits.
func (m *supervisor) start(generation int) (*worker, error) {
	path, err := lookUp(m.cfg.Argv[0])
	if err != nil {
		return nil, err
	}
	conn, end, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	defer closeFiles([]int{end})
	var kept bundle
	if m.kept != nil {
		kept = *m.kept
	}
	_ = conn.SetWriteDeadline(time.Now().Add(timing.Say))
	err = wire.Write(conn, wire.Welcome, wire.WelcomeMsg{PID: os.Getpid(), Generation: generation, Listeners: kept.words})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Dir: m.cfg.Dir}
	for _, s := range slices.Concat(kept.files, []int{end}) {
		attr.Files = append(attr.Files, uintptr(s))
	}
	info := wire.LinkInfo{Version: wire.Version, Descriptor: len(attr.Files) - 1, PID: os.Getpid()}
	attr.Env = slices.Concat(m.env, []string{wire.EnvLink + "=" + info.String()})
	fd.CloseOnExecFrom(fd.First)
	if m.blocked != nil { // a child has the signal mask of the thread that forks
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		unblockInThread(m.blocked)
	}
	pid, err := syscall.ForkExec(path, m.cfg.Argv, attr)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", path, os.NewSyscallError("exec", err))
	}
	w := &worker{conn: conn.(*net.UnixConn), generation: generation, child: pid, started: true}
	w.identify(pid)
	return w, nil
}

// lookUp finds the program, with a remedy in the error.
func lookUp(name string) (string, error) {
	if !strings.Contains(name, "/") {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("%w; give a path, such as ./%s", err, name)
		}
		return path, nil
	}
	fi, err := os.Stat(name)
	switch {
	case err != nil:
		return "", fmt.Errorf("%w; put the program there", err)
	case fi.IsDir():
		return "", fmt.Errorf("%s is a directory; name the program in it", name)
	case fi.Mode()&0o111 == 0:
		return "", fmt.Errorf("%s is not executable; chmod +x it", name)
	}
	return name, nil
}

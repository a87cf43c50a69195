//go:build unix

package supervise

import (
	"fmt"
	"net"
	"os"
	"os/exec"
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
	attr := &syscall.ProcAttr{
		Files: []uintptr{0, 1, 2},
		// A process group of its own: Ctrl-C is for the supervisor, which passes it on.
		// Twice the signal would cut the drain.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	}
	for _, s := range slices.Concat(kept.files, []int{end}) {
		attr.Files = append(attr.Files, uintptr(s))
	}
	info := wire.LinkInfo{Version: wire.Version, Descriptor: len(attr.Files) - 1, PID: os.Getpid()}
	attr.Env = slices.Concat(m.env, []string{wire.EnvLink + "=" + info.String()})
	fd.CloseOnExecFrom(fd.First)
	pid, err := syscall.ForkExec(path, m.cfg.Argv, attr)
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", path, os.NewSyscallError("exec", err))
	}
	w := &worker{conn: conn.(*net.UnixConn), generation: generation}
	w.child = pid
	w.identify(pid)
	return w, nil
}

// connOf makes a connection of a descriptor that a worker has sent.
func connOf(s int) (*net.UnixConn, error) {
	c, err := fd.Conn(s)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("descriptor %d is no unix socket", s)
	}
	return u, nil
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

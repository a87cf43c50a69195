package supervise

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// nobodys starts a process that has given its rights up. It writes what it reads to its link, and ends with the test.
func nobodys(t *testing.T) (pid int, in func(words ...any), ours *net.UnixConn) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can start processes of other users")
	}
	c, end, err := fd.Pair()
	must.Do(t, err)
	theirs := os.NewFile(uintptr(end), "link")
	defer theirs.Close()
	cmd := exec.Command("cat")
	cmd.Stdout = theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	stdin := must.Get(cmd.StdinPipe())(t)
	must.Do(t, cmd.Start())
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait(); c.Close() })
	return cmd.Process.Pid, func(words ...any) {
		t.Helper()
		var b []byte
		for _, msg := range words {
			ty := wire.Stand
			if _, launch := msg.(wire.LaunchMsg); launch {
				ty = wire.Launch
			}
			b = must.Get(wire.Append(b, ty, msg))(t)
		}
		must.Get(stdin.Write(b))(t)
	}, c.(*net.UnixConn)
}

// TestStand_OfAWorkerWithoutRights: a worker that has given its rights up has the supervisor signal neither a process of
// root's nor the supervisor's own parent, and start no other program.
func TestStand_OfAWorkerWithoutRights(t *testing.T) {
	t.Parallel()
	victim := exec.Command("cat")
	hold := must.Get(victim.StdinPipe())(t)
	must.Do(t, victim.Start())
	defer func() { hold.Close(); _ = victim.Wait() }()
	pid, say, ours := nobodys(t)
	var log bytes.Buffer
	m := newSupervisor(Config{Argv: []string{"./app"}, Log: slog.New(slog.NewTextHandler(&log, nil))}, spawn.Launch{Argv: []string{"./app"}})
	defer close(m.quit)
	w := &worker{conn: ours}
	m.add(w)
	defer w.release()
	hear := func(n int) {
		for range n {
			m.heard(<-m.words)
		}
	}
	for _, said := range []int{victim.Process.Pid, os.Getppid()} {
		for _, plain := range []bool{true, false} {
			say(wire.StandMsg{PID: said, State: stateCurrent, Plain: plain})
			hear(1)
			if w.proc != nil && w.proc.Pid != pid {
				t.Fatalf("process %d would be signaled, and process %d has said it is that", w.proc.Pid, pid)
			}
		}
	}
	if w.pid != pid || w.proc == nil {
		t.Errorf("process %d is known as %d", pid, w.pid)
	}
	if text := log.String(); !strings.Contains(text, "may not signal it") {
		t.Errorf("the log does not say why: %s", text)
	}
	evil := spawn.Launch{Dir: "/", Argv: []string{"/tmp/evil"}, Trusted: true}.Tell()
	say(wire.LaunchMsg{Part: evil[:9], More: true}, wire.LaunchMsg{Part: evil[9:]})
	hear(2)
	if !slices.Equal(m.launch.Argv, []string{"./app"}) || !m.launch.Trusted {
		t.Errorf("%+v", m.launch)
	}
	if !strings.Contains(log.String(), "does not decide how the next one") {
		t.Errorf("the log does not say that: %s", log.String())
	}
}

// TestLink_OfTwoWriters ends a link on which one process goes on with the frame of another one.
func TestLink_OfTwoWriters(t *testing.T) {
	t.Parallel()
	ours, end, err := fd.Pair()
	must.Do(t, err)
	theirs := os.NewFile(uintptr(end), "link")
	b := must.Get(wire.Append(nil, wire.Launch, wire.LaunchMsg{Part: []byte("{}")}))(t)
	for _, part := range [][]byte{b[:8], b[8:]} {
		cmd := exec.Command("cat")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(part), theirs
		must.Do(t, cmd.Run())
	}
	w := &worker{conn: ours.(*net.UnixConn)}
	m := newSupervisor(Config{}, spawn.Launch{})
	defer close(m.quit)
	m.add(w)
	if wd := <-m.words; !errors.Is(wd.err, wire.ErrSeveral) {
		t.Errorf("%v, %v", wd.frame.Type, wd.err)
	}
	theirs.Close()
}

// TestKeep_HasALimit: a worker can't fill the supervisor with descriptors, nor with workers.
func TestKeep_HasALimit(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := newSupervisor(Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, spawn.Launch{})
	defer close(m.quit)
	r, pw, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	one := must.Get(syscall.Dup(int(pw.Fd())))(t)
	w := &worker{state: stateCurrent, kept: &bundle{files: slices.Repeat([]int{-1}, maxKept), words: make([]wire.Listener, maxKept)}}
	m.keep(w, wire.KeepMsg{Listeners: make([]wire.Listener, 1), More: true}, []int{one})
	pw.Close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("its descriptor is open: %v", err)
	}
	if w.kept.count() != maxKept || !strings.Contains(log.String(), "limit=4096") {
		t.Errorf("%d are kept: %s", w.kept.count(), log.String())
	}
	m.workers = make([]*worker, maxWorkers)
	if m.hasRoom() || !strings.Contains(log.String(), "too many") {
		t.Errorf("one more worker is followed: %s", log.String())
	}
}

// TestStart_OfATrustedProgram: after a crash no program is started that others can change.
func TestStart_OfATrustedProgram(t *testing.T) {
	t.Parallel()
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	must.Do(t, os.Chmod(dir, 0o755))
	app := filepath.Join(dir, "app")
	must.Do(t, exec.Command("cp", "/bin/true", app).Run()) // by this process it could not be executed if another test forks meanwhile
	m := newSupervisor(Config{}, spawn.Launch{Argv: []string{app}, Trusted: true})
	defer close(m.quit)
	must.Do(t, os.Chmod(dir, 0o777))
	refused := new(owner.Error)
	if _, err := m.start(1); !errors.As(err, &refused) || refused.Path != dir {
		t.Fatalf("%v", err)
	}
	must.Do(t, os.Chmod(dir, 0o755))
	w, err := m.start(1)
	must.Do(t, err)
	defer w.conn.Close()
	if state := must.Get(w.proc.Wait())(t); !state.Success() {
		t.Errorf("%v", state)
	}
}

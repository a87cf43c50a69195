//go:build unix

package core_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/load"
)

// TestFailedUpgrade: whatever is wrong with the new version, the old one says
// so, serves on without losing a request, and upgrades when it has been mended.
func TestFailedUpgrade(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, a *app) // makes the next generation fail
		want  []string                   // in the error
	}{
		"missing": {remove, []string{"/app", "could not be started", "no such file"}},
		"not executable": {func(t *testing.T, a *app) {
			chmod(t, a, 0o644)
		}, []string{"/app", "permission denied", "not executable; chmod +x", "mode -rw-r--r--", "owner"}},
		"other architecture": {otherMachine, []string{"/app", "exec format error", "built for ", "EM_AVR, this machine is " + runtime.GOOS, "build it with GOOS=" + runtime.GOOS}},
		"missing loader":     {loaderless, []string{"/app", "it needs the loader /none/ld.so, which does not exist here"}},
		"missing interpreter": {func(t *testing.T, a *app) {
			deploy(t, a, func(path string) { must(t, writeProgram(path, "#! /none/sh -e\n")) })
		}, []string{"/app", "a script for /none/sh", "its first line names /none/sh, which does not exist"}},
		"a pipe": {func(t *testing.T, a *app) {
			remove(t, a)
			must(t, exec.Command("mkfifo", "-m", "755", filepath.Join(a.dir, "app")).Run())
		}, []string{"/app", "it is no regular file"}},
		"directory": {func(t *testing.T, a *app) {
			remove(t, a)
			must(t, os.Mkdir(filepath.Join(a.dir, "app"), 0o755))
		}, []string{"/app", "it is a directory"}},
		"dangling symlink": {func(t *testing.T, a *app) {
			remove(t, a)
			must(t, os.Symlink("releases/none", filepath.Join(a.dir, "app")))
		}, []string{"/app", "dangling symlink to releases/none"}},
		"empty file": {func(t *testing.T, a *app) {
			remove(t, a)
			must(t, writeProgram(filepath.Join(a.dir, "app"), ""))
		}, []string{"/app", "it is empty"}},
		"text": {func(t *testing.T, a *app) {
			remove(t, a)
			must(t, writeProgram(filepath.Join(a.dir, "app"), "<html>not found</html>"))
		}, []string{"/app", "exec format error", "neither a whole program nor a script"}},
		"script that drops its arguments": {func(t *testing.T, a *app) {
			install(t, filepath.Join(a.dir, "real"))
			remove(t, a)
			must(t, writeProgram(filepath.Join(a.dir, "app"), "#!/bin/sh\nexec ./real\n"))
		}, []string{"without its arguments", `exec ./app "$@"`, "exit status 1"}},
		"crashes":             {behave("crash"), []string{"/app", "ended before it was ready", "exit status 2", "after"}},
		"exits 0 early":       {behave("exit0"), []string{"ended before it was ready", "exit status 0"}},
		"hangs":               {behave("hang"), []string{"timed out", "not ready in time"}},
		"hangs and is deaf":   {behave("deaf"), []string{"timed out", "signal: killed"}},
		"closes the socket":   {behave("close-control"), []string{"closed the handover socket"}},
		"sends garbage":       {behave("garbage"), []string{"not a gracex frame"}},
		"is vetoed":           {behave("veto"), []string{"vetoed", "not on a Friday"}},
		"ready check fails":   {behave("check"), []string{"ready check: no database"}},
		"ready check is slow": {behave("slowcheck"), []string{"timed out"}},
		"pid file, no directory": {func(t *testing.T, a *app) {
			must(t, os.RemoveAll(filepath.Join(a.dir, "run")))
		}, []string{"run/app.pid", "does not exist; create it"}},
		"pid file, not a directory": {func(t *testing.T, a *app) {
			must(t, os.RemoveAll(filepath.Join(a.dir, "run")))
			must(t, os.WriteFile(filepath.Join(a.dir, "run"), nil, 0o644))
		}, []string{"run/app.pid", "not a directory"}},
		"address in use": {func(t *testing.T, a *app) {
			listen(t, a, "tcp,127.0.0.1:0 tcp,"+occupied(t))
		}, []string{"address already in use", "another program listens there"}},
		"bad address": {func(t *testing.T, a *app) {
			listen(t, a, "tcp,127.0.0.1:0 tcp,127.0.0.1:99999")
		}, []string{"listen tcp 127.0.0.1:99999", "invalid port"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, filepath.Join(a.dir, "app"))
			must(t, os.Mkdir(filepath.Join(a.dir, "run"), 0o755))
			args := []string{"-pidfile", "run/app.pid"}
			if slices.Contains(tt.want, "timed out") { // all others are found out, however long it takes
				args = append(args, "-ready", "5s")
			}
			a.start("app", "./app", args...)
			first := a.expect("ready", 0)
			addr := first.Addrs[0]
			run := load.Start(load.Config{Addr: addr, Clients: 2, Fresh: 2})
			tt.spoil(t, a)
			for range 2 { // one failure must not wedge the next try
				err := a.upgrade(addr)
				if err == nil {
					t.Fatal("the upgrade worked")
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the error lacks %q: %v", want, err)
					}
				}
			}
			a.expectLog("upgrade failed; this process serves on", 2)
			if st := getJSON[core.Ledger](t, addr, "/stats"); st.PID != first.PID || st.State != core.StateCurrent {
				t.Errorf("pid %d serves in state %v, want %d", st.PID, st.State, first.PID)
			}
			if b, err := os.ReadFile(filepath.Join(a.dir, "run/app.pid")); err == nil && strings.TrimSpace(string(b)) != itoa(first.PID) {
				t.Errorf("the pid file names %q, want %d", b, first.PID)
			}
			mend(t, a)
			if err := a.upgrade(addr); err != nil {
				t.Errorf("mended, the upgrade still fails: %v", err)
			}
			if res := run.Stop(); res.Failed != 0 || res.Requests == 0 {
				t.Errorf("%v", res)
			}
		})
	}
}

func remove(t *testing.T, a *app) {
	t.Helper()
	must(t, os.RemoveAll(filepath.Join(a.dir, "app")))
}

func chmod(t *testing.T, a *app, mode os.FileMode) {
	t.Helper()
	// A file of its own: the program file is linked to the test binary.
	path := filepath.Join(a.dir, "app")
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.Remove(path))
	must(t, os.WriteFile(path, b, mode))
}

// otherMachine puts a program for another machine in place: the ELF header's
// e_machine says AVR.
func otherMachine(t *testing.T, a *app) {
	t.Helper()
	path := filepath.Join(a.dir, "app")
	b, err := os.ReadFile(path)
	must(t, err)
	if !bytes.HasPrefix(b, []byte("\x7fELF")) {
		t.Skip("this system's programs are not ELF: there is no other machine's to make by changing two bytes")
	}
	binary.NativeEndian.PutUint16(b[18:], 83)
	must(t, os.Remove(path))
	must(t, writeProgram(path, string(b)))
}

// loaderless puts a program in place that needs a loader which is not there: an ELF
// header, and one program header with its name.
func loaderless(t *testing.T, a *app) {
	t.Helper()
	if _, err := elf.Open(filepath.Join(a.dir, "app")); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("the test has a program for ELF and amd64 only")
	}
	var b bytes.Buffer
	name := "/none/ld.so\x00"
	hdr := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Phoff: 64,
		Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(hdr.Ident[:], "\x7fELF\x02\x01\x01")
	must(t, binary.Write(&b, binary.LittleEndian, hdr))
	must(t, binary.Write(&b, binary.LittleEndian, elf.Prog64{
		Type: uint32(elf.PT_INTERP), Flags: uint32(elf.PF_R), Off: 64 + 56,
		Filesz: uint64(len(name)), Memsz: uint64(len(name)), Align: 1,
	}))
	b.WriteString(name)
	deploy(t, a, func(path string) { must(t, writeProgram(path, b.String())) })
}

func behave(mode string) func(*testing.T, *app) {
	return func(t *testing.T, a *app) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(a.dir, "mode"), []byte(mode), 0o644))
	}
}

func listen(t *testing.T, a *app, addrs string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(a.dir, "listen"), []byte(addrs), 0o644))
}

// mend undoes whatever was spoiled.
func mend(t *testing.T, a *app) {
	t.Helper()
	remove(t, a)
	install(t, filepath.Join(a.dir, "app"))
	for _, f := range []string{"mode", "listen"} {
		must(t, os.RemoveAll(filepath.Join(a.dir, f)))
	}
	if fi, err := os.Stat(filepath.Join(a.dir, "run")); err != nil || !fi.IsDir() {
		must(t, os.RemoveAll(filepath.Join(a.dir, "run")))
		must(t, os.Mkdir(filepath.Join(a.dir, "run"), 0o755))
	}
}

// TestFailedStart: a first start that can't work ends with an error that names
// the thing and the remedy.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	file := func(t *testing.T) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	pipe := func(t *testing.T) *os.File {
		r, w, err := os.Pipe()
		must(t, err)
		t.Cleanup(func() { r.Close(); w.Close() })
		return r
	}
	for name, tt := range map[string]struct {
		args  []string
		setup func(t *testing.T, a *app)
		want  []string
	}{
		"bad port":           {args: []string{"-addr", "127.0.0.1:99999"}, want: []string{"listen tcp 127.0.0.1:99999", "invalid port"}},
		"no port":            {args: []string{"-addr", "127.0.0.1"}, want: []string{"listen tcp 127.0.0.1", "missing port"}},
		"foreign address":    {args: []string{"-addr", "192.0.2.1:0"}, want: []string{"listen tcp 192.0.2.1:0", "no interface of this machine has that address"}},
		"bad network":        {args: []string{"-listen", "udp,127.0.0.1:0"}, want: []string{"udp", "must be tcp, tcp4, tcp6 or unix"}},
		"no such directory":  {args: []string{"-listen", "unix,none/sock"}, want: []string{"none/sock", "create it"}},
		"pid file directory": {args: []string{"-pidfile", "none/app.pid"}, want: []string{"none/app.pid", "does not exist; create it"}},
		"low port": {args: []string{"-addr", "127.0.0.1:81"}, setup: unprivileged,
			want: []string{"127.0.0.1:81", "permission denied", "CAP_NET_BIND_SERVICE"}},
		"pid file read-only": {args: []string{"-pidfile", "run/app.pid"}, setup: func(t *testing.T, a *app) {
			must(t, os.Mkdir(filepath.Join(a.dir, "run"), 0o555))
			unprivileged(t, a)
		}, want: []string{"run/app.pid", "not writable for this user"}},
		"flag by hand, nothing there": {args: []string{"-graceful"},
			want: []string{"nothing was handed over", "descriptor 3 is", "not to be given by hand"}},
		"flag by hand, a file": {args: []string{"-graceful"}, setup: func(t *testing.T, a *app) { a.files = []*os.File{file(t)} },
			want: []string{"descriptor 3 is a file", "not to be given by hand"}},
		"flag by hand, a pipe": {args: []string{"-graceful"}, setup: func(t *testing.T, a *app) { a.files = []*os.File{pipe(t)} },
			want: []string{"descriptor 3 is a pipe", "not to be given by hand"}},
		"garbage in the environment": {args: []string{"-graceful"}, setup: func(_ *testing.T, a *app) { a.env = []string{wire.EnvHandover + "=1:x"} },
			want: []string{wire.EnvHandover + `="1:x"`}},
		"environment names a file": {args: []string{"-graceful"}, setup: func(t *testing.T, a *app) {
			a.files, a.env = []*os.File{file(t)}, []string{wire.EnvHandover + "=1:3:" + itoa(os.Getpid())}
		}, want: []string{wire.EnvHandover + `="1:3:`, "descriptor 3 is a file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, filepath.Join(a.dir, "app"))
			if tt.setup != nil {
				tt.setup(t, a)
			}
			a.start("app", "./app", tt.args...)
			a.expectGone()
			ends := a.all()
			if len(ends) != 1 || ends[0].Event != "end" {
				t.Fatalf("events %v", ends)
			}
			for _, want := range tt.want {
				if !strings.Contains(ends[0].Err, want) {
					t.Errorf("the error lacks %q: %s", want, ends[0].Err)
				}
			}
		})
	}
}

// unprivileged makes the app run as a user who may do little.
func unprivileged(t *testing.T, a *app) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	must(t, os.Chmod(a.dir, 0o755))
	a.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}

// TestSecondUpgrader: a second server beside the first one is refused with what to
// do instead, and the first serves and upgrades as ever.
func TestSecondUpgrader(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	if err := a.call(addr, "/second"); err == nil || !strings.Contains(err.Error(), "an Upgrader already; serve several servers with one") {
		t.Errorf("the second server: %v", err)
	}
	if err := a.upgrade(addr); err != nil {
		t.Error(err)
	}
}

// TestUpgradeWhileStopping is refused, and the stop goes on.
func TestUpgradeWhileStopping(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	client := dialQuietly(t, first.Addrs[0], first.PID)
	client.begin(t)
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("msg=draining", 1)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("upgrade refused", 1)
	client.finish(t, first.PID)
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
	a.expectGone()
}

// TestSecondStart: the address is taken, and the first one's pid file and socket
// stay as they are.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-pidfile", "app.pid", "-listen", "unix,sock")
	first := a.expect("ready", 0)
	b := prepare(t)
	install(t, filepath.Join(b.dir, "app"))
	b.start("app", "./app", "-pidfile", filepath.Join(a.dir, "app.pid"), "-listen", "unix,"+filepath.Join(a.dir, "sock"))
	b.expectGone()
	if err := b.expect("end", 0).Err; !strings.Contains(err, "address already in use") {
		t.Errorf("the second start: %s", err)
	}
	if got, err := os.ReadFile(filepath.Join(a.dir, "app.pid")); err != nil || strings.TrimSpace(string(got)) != itoa(first.PID) {
		t.Errorf("pid file %q, %v", got, err)
	}
	if _, err := get(filepath.Join(a.dir, "sock"), "/"); err != nil {
		t.Error(err)
	}
}

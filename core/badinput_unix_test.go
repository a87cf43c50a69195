//go:build unix

package core_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/load"
)

// TestUpgrade_FailureLeavesTheOldProcessServing: whatever is wrong with the new version, the old one says
// so, serves on without losing a request or a path, and upgrades when it has been mended.
func TestUpgrade_FailureLeavesTheOldProcessServing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, a *app) // makes the next generation fail
		want  string                     // parts, with | between them
	}{
		"missing": {remove, "/app|could not be started|no such file"},
		"not executable": {func(t *testing.T, a *app) { rewrite(t, a, 0o644, func([]byte) {}) },
			"/app|permission denied|not executable; chmod +x|mode -rw-r--r--|owner"},
		"other architecture": {otherMachine,
			"/app|exec format error|built for |EM_AVR, this machine is " + runtime.GOOS + "|build it with GOOS=" + runtime.GOOS},
		"missing loader": {loaderless, "/app|it needs the loader /none/ld.so, which does not exist here"},
		"missing interpreter": {program("#! /none/sh -e\n"),
			"/app|a script for /none/sh|its first line names /none/sh, which does not exist"},
		"a pipe": {replaced(func(path string) error { return exec.Command("mkfifo", "-m", "755", path).Run() }),
			"/app|it is no regular file"},
		"directory": {replaced(func(path string) error { return os.Mkdir(path, 0o755) }), "/app|it is a directory"},
		"dangling symlink": {replaced(func(path string) error { return os.Symlink("releases/none", path) }),
			"/app|dangling symlink to releases/none"},
		"empty file": {program(""), "/app|it is empty"},
		"text":       {program("<html>not found</html>"), "/app|exec format error|neither a whole program nor a script"},
		"script that drops its arguments": {func(t *testing.T, a *app) {
			install(t, a.path("real"))
			program("#!/bin/sh\nexec ./real\n")(t, a)
		}, `without its arguments|exec ./app "$@"|exit status 1`},
		"not on gracex": {replaced(func(path string) error {
			program, err := exec.LookPath("go")
			if err != nil {
				return err
			}
			return os.Symlink(program, path)
		}), "/app|ended before it was ready|exit status 2|, without gracex]"},
		"crashes":           {behave("crash"), "/app|ended before it was ready|exit status 2|after"},
		"exits 0 early":     {behave("exit0"), "ended before it was ready|exit status 0"},
		"hangs":             {behave("hang"), "timed out|not ready in time"},
		"hangs and is deaf": {behave("deaf"), "timed out|not ready in time"},
		"closes the socket": {behave("close-control"), "closed the handover socket"},
		"sends garbage":     {behave("garbage"), "not a gracex frame"},
		"is vetoed":         {behave("veto"), "vetoed|not on a Friday"},
		"ready check fails": {func(t *testing.T, a *app) {
			a.setMode("check")
			listen(t, a, "tcp,127.0.0.1:0 unix,app.sock unix,fresh.sock")
		}, "ready check: no database"},
		"ready check is slow": {behave("slowcheck"), "timed out"},
		"pid file, no directory": {func(t *testing.T, a *app) { must(t, os.RemoveAll(a.path("run"))) },
			"run/app.pid|does not exist; create it"},
		"pid file, not a directory": {func(t *testing.T, a *app) {
			must(t, os.RemoveAll(a.path("run")))
			a.write("run", "")
		}, "run/app.pid|not a directory"},
		"address in use": {func(t *testing.T, a *app) { listen(t, a, "tcp,127.0.0.1:0 tcp,"+occupied(t)) },
			"address already in use|another program listens there"},
		"bad address": {func(t *testing.T, a *app) { listen(t, a, "tcp,127.0.0.1:0 tcp,127.0.0.1:99999") },
			"listen tcp 127.0.0.1:99999|invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			must(t, os.Mkdir(a.path("run"), 0o755))
			args := []string{
				"-pidfile", "run/app.pid", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock", "-listen", "unix,other.sock",
			}
			if strings.Contains(tt.want, "timed out") { // all others are found out, however long it takes
				args = append(args, "-ready", "5s")
			}
			a.start("app", "./app", args...)
			first := a.expect("ready", 0)
			addr := first.Addrs[0]
			run := load.Start(load.Config{Addr: addr, Clients: 2, Fresh: 2})
			tt.spoil(t, a)
			for range 2 { // one failure must not wedge the next try
				expectError(t, a.upgrade(addr), strings.Split(tt.want, "|")...)
			}
			a.expectLog("upgrade failed; this process serves on", 2)
			expectCurrent(t, addr, first.PID)
			if b, err := os.ReadFile(a.path("run/app.pid")); err == nil && strings.TrimSpace(string(b)) != itoa(first.PID) {
				t.Errorf("the pid file names %q, want %d", b, first.PID)
			}
			expectAnswers(t, a.path("app.sock"), a.path("other.sock"))
			expectNoPath(t, a.path("fresh.sock"))
			mend(t, a)
			if err := a.upgrade(addr); err != nil {
				t.Errorf("mended, the upgrade still fails: %v", err)
			}
			expectLossless(t, run)
		})
	}
}

func remove(t *testing.T, a *app) {
	t.Helper()
	must(t, os.RemoveAll(a.path("app")))
}

// replaced has something else instead of the program file.
func replaced(put func(path string) error) func(*testing.T, *app) {
	return func(t *testing.T, a *app) {
		t.Helper()
		remove(t, a)
		must(t, put(a.path("app")))
	}
}

func program(text string) func(*testing.T, *app) {
	return replaced(func(path string) error { return writeProgram(path, text) })
}

// rewrite replaces the program file, which is linked to the test binary, by a changed copy.
func rewrite(t *testing.T, a *app, mode os.FileMode, change func(b []byte)) {
	t.Helper()
	b, err := os.ReadFile(a.path("app"))
	must(t, err)
	change(b)
	program(string(b))(t, a)
	must(t, os.Chmod(a.path("app"), mode))
}

// otherMachine puts a program for another machine in place: the ELF header's
// e_machine says AVR.
func otherMachine(t *testing.T, a *app) {
	t.Helper()
	rewrite(t, a, 0o755, func(b []byte) {
		if !bytes.HasPrefix(b, []byte("\x7fELF")) {
			t.Skip("this system's programs are not ELF: there is no other machine's to make by changing two bytes")
		}
		binary.NativeEndian.PutUint16(b[18:], 83)
	})
}

// loaderless puts a program in place that needs a loader which is not there: an ELF
// header, and one program header with its name.
func loaderless(t *testing.T, a *app) {
	t.Helper()
	if _, err := elf.Open(a.path("app")); err != nil || runtime.GOARCH != "amd64" {
		t.Skip("the test has a program for ELF and amd64 only")
	}
	name := "/none/ld.so\x00"
	hdr := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', 2, 1, 1},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	prog := elf.Prog64{
		Type: uint32(elf.PT_INTERP), Flags: uint32(elf.PF_R), Off: 64 + 56,
		Filesz: uint64(len(name)), Memsz: uint64(len(name)), Align: 1,
	}
	var b bytes.Buffer
	must(t, errors.Join(binary.Write(&b, binary.LittleEndian, hdr), binary.Write(&b, binary.LittleEndian, prog)))
	program(b.String()+name)(t, a)
}

func behave(mode string) func(*testing.T, *app) {
	return func(t *testing.T, a *app) {
		t.Helper()
		a.setMode(mode)
	}
}

func listen(t *testing.T, a *app, addrs string) {
	t.Helper()
	a.write("listen", addrs)
}

// mend undoes whatever was spoiled.
func mend(t *testing.T, a *app) {
	t.Helper()
	remove(t, a)
	install(t, a.path("app"))
	must(t, os.RemoveAll(a.path("mode")))
	must(t, os.RemoveAll(a.path("listen")))
	if fi, err := os.Stat(a.path("run")); err != nil || !fi.IsDir() {
		must(t, os.RemoveAll(a.path("run")))
		must(t, os.Mkdir(a.path("run"), 0o755))
	}
}

// TestStart_FailureNamesTheThingAndTheRemedy: a first start that can't work ends at once, and says why.
func TestStart_FailureNamesTheThingAndTheRemedy(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	t.Cleanup(func() { file.Close() })
	passes := func(f *os.File, env ...string) func(*testing.T, *app) {
		return func(_ *testing.T, a *app) {
			a.env = env
			if f != nil {
				a.files = []*os.File{f}
			}
		}
	}
	for name, tt := range map[string]struct {
		args  string
		setup func(t *testing.T, a *app)
		want  string // parts, with | between them
	}{
		"bad port": {"-addr 127.0.0.1:99999", nil, "listen tcp 127.0.0.1:99999|invalid port"},
		"no port":  {"-addr 127.0.0.1", nil, "listen tcp 127.0.0.1|missing port"},
		"foreign address": {"-addr 192.0.2.1:0", nil,
			"listen tcp 192.0.2.1:0|no interface of this machine has that address"},
		"bad network":        {"-listen udp,127.0.0.1:0", nil, "udp|must be tcp, tcp4, tcp6 or unix"},
		"no such directory":  {"-listen unix,none/sock", nil, "none/sock|create it"},
		"pid file directory": {"-pidfile none/app.pid", nil, "none/app.pid|does not exist; create it"},
		"low port":           {"-addr 127.0.0.1:81", unprivileged, "127.0.0.1:81|permission denied|CAP_NET_BIND_SERVICE"},
		"pid file read-only": {"-pidfile run/app.pid", func(t *testing.T, a *app) {
			must(t, os.Mkdir(a.path("run"), 0o555))
			unprivileged(t, a)
		}, "run/app.pid|not writable for this user"},
		"garbage in the environment": {"-graceful", passes(nil, wire.EnvHandover+"=1:x"), wire.EnvHandover + `="1:x"`},
		"environment names a file": {"-graceful", passes(file, wire.EnvHandover+"=1:3:"+itoa(os.Getpid())),
			wire.EnvHandover + `="1:3:|descriptor 3 is a file`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			if tt.setup != nil {
				tt.setup(t, a)
			}
			a.start("app", "./app", strings.Fields(tt.args)...)
			a.expectGone()
			ends := a.all()
			if len(ends) != 1 || ends[0].Event != "end" {
				t.Fatalf("events %v", ends)
			}
			expectText(t, ends[0].Err, strings.Split(tt.want, "|")...)
		})
	}
}

// unprivileged makes the app run as a user who may do little.
func unprivileged(t *testing.T, a *app) {
	t.Helper()
	if os.Getuid() == 0 {
		must(t, os.Chmod(a.dir, 0o755))
		a.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

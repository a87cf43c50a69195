package control

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

const nobody = 65534

// playAs is play for an app of another user: the kernel remembers the user of the thread that calls listen(2).
func playAs(t *testing.T, uid int, path string, handler http.HandlerFunc) {
	t.Helper()
	become := func(uid int) {
		const keep = ^uintptr(0)
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, uintptr(uid), keep); e != 0 { // of this thread
			t.Fatal(e)
		}
	}
	runtime.LockOSThread()
	become(uid)
	ln, err := net.Listen("unix", path)
	become(0)
	runtime.UnlockOSThread()
	must.Do(t, err)
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
}

// TestFind_AsksWhoAnswers: the directory of the socket is another user's, and so is the process that answers, as if it
// were the app. Not in parallel: the default directory is the environment's.
func TestFind_AsksWhoAnswers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play another user")
	}
	self := os.Getpid() // the app, which is root's
	app := says(Protocol, 200, Status{Protocol: Protocol, PID: self, Program: "/srv/app", Generations: []Generation{{PID: self}}})
	give := func(t *testing.T, path string) {
		t.Helper()
		must.Do(t, os.Chown(path, nobody, nobody))
	}
	pidFile := func(t *testing.T, dir string) string {
		t.Helper()
		file := filepath.Join(dir, "app.pid")
		must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(self)), 0o600))
		return file
	}
	for name, tt := range map[string]struct {
		arrange func(t *testing.T, dir string) Query
		err     error
	}{
		"the process of a pid file is root's": {func(t *testing.T, dir string) Query {
			file := pidFile(t, dir)
			give(t, DefaultDir())
			playAs(t, nobody, DefaultPath(file), app)
			return Query{PIDFile: file}
		}, ErrUntrusted},
		"the pid file is that user's": {func(t *testing.T, dir string) Query {
			file := pidFile(t, dir)
			give(t, file)
			give(t, DefaultDir())
			playAs(t, nobody, DefaultPath(file), app)
			return Query{PIDFile: file}
		}, nil},
		"a process of root's": {func(t *testing.T, _ string) Query {
			give(t, DefaultDir())
			playAs(t, nobody, inDefault("a.sock"), app)
			return Query{PID: self}
		}, ErrUntrusted},
		"the socket is in that user's directory": {func(t *testing.T, dir string) Query {
			sub := filepath.Join(dir, "sub")
			must.Do(t, os.Mkdir(sub, 0o700))
			give(t, sub)
			playAs(t, nobody, filepath.Join(sub, "s"), app)
			return Query{Socket: filepath.Join(sub, "s")}
		}, nil},
		"the socket is where everybody may write": {func(t *testing.T, dir string) Query {
			must.Do(t, os.Chmod(dir, 0o777|os.ModeSticky))
			playAs(t, nobody, filepath.Join(dir, "s"), app)
			return Query{Socket: filepath.Join(dir, "s")}
		}, ErrUntrusted},
		"the only app, in a directory that is that user's": {func(t *testing.T, _ string) Query {
			give(t, DefaultDir())
			playAs(t, nobody, inDefault("a.sock"), app)
			return Query{}
		}, nil},
		"the only app, where everybody may write": {func(t *testing.T, _ string) Query {
			must.Do(t, os.Chmod(DefaultDir(), 0o777|os.ModeSticky))
			playAs(t, nobody, inDefault("a.sock"), app)
			return Query{}
		}, ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			dir := runtimeDir(t)
			must.Do(t, os.Chmod(dir, 0o755))
			_, err := Find(t.Context(), tt.arrange(t, dir))
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("Find = %v, want %v", err, tt.err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("a process of user %d answers", nobody)) {
				t.Errorf("Find = %v", err)
			}
		})
	}
}

// TestDialWhereverItIs: by the program's name alone a directory is not believed that is no default one.
func TestDialWhereverItIs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can play another user")
	}
	dir := runtimeDir(t)
	must.Do(t, os.Chmod(dir, 0o755))
	own := filepath.Join(dir, "own")
	must.Do(t, os.Mkdir(own, 0o700))
	for sub, want := range map[string]error{own: ErrUntrusted, DefaultDir(): nil} {
		must.Do(t, os.Chown(sub, nobody, nobody))
		path := filepath.Join(sub, "a.sock")
		playAs(t, nobody, path, says(Protocol, 200, Status{Protocol: Protocol}))
		if _, err := dialWhereverItIs(path).Status(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// TestDefaultDir_IsNotAnotherUsers: sudo -E keeps XDG_RUNTIME_DIR.
func TestDefaultDir_IsNotAnotherUsers(t *testing.T) {
	dir := runtimeDir(t)
	if want := filepath.Join(dir, "gracex"); DefaultDir() != want {
		t.Errorf("its own: %s", DefaultDir())
	}
	must.Do(t, os.Chmod(dir, 0o777))
	if DefaultDir() != systemDir {
		t.Errorf("one in which others may write: %s", DefaultDir())
	}
	if os.Geteuid() != 0 {
		return
	}
	must.Do(t, os.Chmod(dir, 0o700))
	must.Do(t, os.Chown(dir, nobody, nobody))
	if DefaultDir() != systemDir {
		t.Errorf("another user's: %s", DefaultDir())
	}
}

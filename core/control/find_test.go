//go:build unix

package control

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// gone returns the number of a process that has ended.
func gone(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	must.Do(t, cmd.Run())
	return cmd.Process.Pid
}

// stale leaves a socket behind that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	ln := must.Get(net.ListenUnix("unix", &net.UnixAddr{Name: path}))(t)
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

// TestFind looks for apps by everything that an operator may know of them. Not in
// parallel: the default directory is the environment's.
func TestFind(t *testing.T) {
	self := os.Getpid() // a process that is there, for all apps
	app := func(pids ...int) Status {
		st := Status{Protocol: Protocol, PID: pids[0], Program: "/srv/app"}
		for _, pid := range pids {
			st.Generations = append(st.Generations, Generation{PID: pid})
		}
		return st
	}
	for name, tt := range map[string]struct {
		arrange func(t *testing.T, dir string) Query
		want    string // the socket's name
		err     error
		says    string
	}{
		"none": {func(*testing.T, string) Query { return Query{} }, "", ErrNotFound, "without a socket can be upgraded by kill -USR2"},
		"the only one": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001)))
			stale(t, inDefault("b.sock"))
			must.Do(t, os.WriteFile(inDefault("c.sock"), nil, 0o600))
			return Query{}
		}, "a.sock", nil, ""},
		"two": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001)))
			play(t, inDefault("b.sock"), says(Protocol, 200, app(1002)))
			return Query{}
		}, "", ErrAmbiguous, "pid 1002 (/srv/app, socket "},
		"two, by pid": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001)))
			play(t, inDefault("b.sock"), says(Protocol, 200, app(1002)))
			return Query{PID: 1002}
		}, "b.sock", nil, ""},
		"an old generation's pid": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001, self)))
			return Query{PID: self}
		}, "a.sock", nil, ""},
		"the supervisor's pid": {func(t *testing.T, _ string) Query {
			st := app(1001)
			st.Supervisor = self
			play(t, inDefault("a.sock"), says(Protocol, 200, st))
			return Query{PID: self}
		}, "a.sock", nil, ""},
		"no such process": {func(t *testing.T, _ string) Query { return Query{PID: gone(t)} }, "", ErrNotFound, "there is no process "},
		"no app": {func(*testing.T, string) Query { return Query{PID: self} }, "", ErrNotFound,
			"is not a gracex app with a control socket"},
		"a negative pid": {func(*testing.T, string) Query { return Query{PID: -1} }, "", ErrNotFound, "-1"},
		"one that hangs beside it": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			play(t, inDefault("b.sock"), says(Protocol, 200, app(1002)))
			return Query{PID: 1002}
		}, "b.sock", nil, ""},
		"pid file": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(self)+"\n"), 0o600))
			play(t, inDefault("other.sock"), says(Protocol, 200, app(1001)))
			play(t, DefaultPath(file), says(Protocol, 200, app(self)))
			return Query{PIDFile: file}
		}, "app-*.sock", nil, ""},
		"pid file of an app with another socket": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(self)), 0o600))
			play(t, inDefault("a.sock"), says(Protocol, 200, app(self)))
			return Query{PIDFile: file}
		}, "a.sock", nil, ""},
		"pid file that an operator has linked": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(self)), 0o600))
			must.Do(t, os.Symlink(file, filepath.Join(dir, "link")))
			play(t, inDefault("a.sock"), says(Protocol, 200, app(self)))
			return Query{PIDFile: filepath.Join(dir, "link")}
		}, "a.sock", nil, ""},
		"pid file that names another process than answers on its socket": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(self)), 0o600))
			st := app(1001)
			st.PIDFile = file
			play(t, DefaultPath(file), says(Protocol, 200, st))
			return Query{PIDFile: file}
		}, "", ErrAmbiguous, fmt.Sprintf("names process %d, and process 1001 answers on its socket", self)},
		"pid file that names no process any more": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(gone(t))), 0o600))
			st := app(1001)
			st.PIDFile = file
			play(t, DefaultPath(file), says(Protocol, 200, st))
			return Query{PIDFile: file}
		}, "app-*.sock", nil, ""},
		"a FIFO as pid file": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, syscall.Mkfifo(file, 0o600))
			return Query{PIDFile: file}
		}, "", ErrNotFound, "there is a special file (p---------) in its place"},
		"stale pid file": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(gone(t))), 0o600))
			stale(t, DefaultPath(file))
			return Query{PIDFile: file}
		}, "", ErrStale, "which does not exist"},
		"pid file of an app in the other default directory": {func(t *testing.T, dir string) Query {
			file := filepath.Join(dir, "app.pid")
			must.Do(t, os.WriteFile(file, []byte(strconv.Itoa(self)), 0o600))
			must.Do(t, os.Mkdir(systemDir, 0o700))
			play(t, defaultPaths(file)[1], says(Protocol, 200, app(self)))
			return Query{PIDFile: file}
		}, "app-*.sock", nil, ""},
		"by program": {func(t *testing.T, dir string) Query {
			must.Do(t, os.Mkdir(filepath.Join(dir, "releases"), 0o700))
			must.Do(t, os.WriteFile(filepath.Join(dir, "releases", "app"), nil, 0o700))
			must.Do(t, os.Symlink("releases", filepath.Join(dir, "current")))
			st := app(1002)
			st.Program = filepath.Join(dir, "current", "app")
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001)))
			play(t, inDefault("b.sock"), says(Protocol, 200, st))
			return Query{Program: filepath.Join(dir, "releases", "app")}
		}, "b.sock", nil, ""},
		"only another program": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001)))
			return Query{Program: "/srv/shop"}
		}, "", ErrNotFound, "that runs the program /srv/shop; name one by its pid"},
		"two of one program": {func(t *testing.T, _ string) Query {
			play(t, inDefault("a.sock"), says(Protocol, 200, app(1001)))
			play(t, inDefault("b.sock"), says(Protocol, 200, app(1002)))
			return Query{Program: "/srv/app"}
		}, "", ErrAmbiguous, "pid 1002 (socket "},
		"no pid file": {func(_ *testing.T, dir string) Query { return Query{PIDFile: filepath.Join(dir, "app.pid")} }, "", ErrNotFound, "there is no pid file"},
		"no number in it": {func(t *testing.T, dir string) Query {
			must.Do(t, os.WriteFile(filepath.Join(dir, "app.pid"), []byte("app"), 0o600))
			return Query{PIDFile: filepath.Join(dir, "app.pid")}
		}, "", ErrNotFound, "holds no process number"},
		"socket": {func(t *testing.T, dir string) Query {
			play(t, filepath.Join(dir, "s"), says(Protocol, 200, app(1001)))
			return Query{Socket: filepath.Join(dir, "s"), PID: 7}
		}, "s", nil, ""},
		"no socket": {func(_ *testing.T, dir string) Query { return Query{Socket: filepath.Join(dir, "s")} }, "", ErrNotFound, "there is no socket"},
		"stale socket": {func(t *testing.T, dir string) Query {
			stale(t, filepath.Join(dir, "s"))
			return Query{Socket: filepath.Join(dir, "s")}
		}, "", ErrStale, "nobody listens"},
		"a file": {func(t *testing.T, dir string) Query {
			must.Do(t, os.WriteFile(filepath.Join(dir, "s"), nil, 0o600))
			return Query{Socket: filepath.Join(dir, "s")}
		}, "", ErrForeign, "is a file"},
		"another server": {func(t *testing.T, dir string) Query {
			play(t, filepath.Join(dir, "s"), http.NotFound)
			return Query{Socket: filepath.Join(dir, "s")}
		}, "", ErrForeign, "status 404"},
		"a later version": {func(t *testing.T, dir string) Query {
			play(t, filepath.Join(dir, "s"), says(Protocol+1, 200, app(1001)))
			return Query{Socket: filepath.Join(dir, "s")}
		}, "", ErrVersion, "speaks version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			q := tt.arrange(t, runtimeDir(t))
			c, err := Find(t.Context(), q)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("Find = %v, want %v with %q", err, tt.err, tt.says)
			}
			if err != nil {
				return
			}
			if ok, _ := filepath.Match(tt.want, filepath.Base(c.Path())); !ok {
				t.Errorf("found %s, want %s", c.Path(), tt.want)
			}
		})
	}
}

// TestUpgradeStream: the outcome is the last line, and a stream without one is an error.
func TestUpgradeStream(t *testing.T) {
	for name, tt := range map[string]struct {
		lines string
		kind  string
		steps int
		says  string
	}{
		"outcome": {`{"step":"started","pid":7}` + "\n" + `{"step":"probation","probation_ms":3000}` + "\n" + `{"outcome":{"ok":true,"kind":"upgraded","took_ms":1500}}` + "\n", KindUpgraded, 2, ""},
		"cut":     {`{"step":"started"}` + "\n", "", 1, `the outcome of the upgrade is not known, the process that did it is gone (after "started")`},
		"nothing": {`{"outcome":{}}` + "\n", "", 0, "an outcome without a kind"},
		"half":    {`{"step":"started"}` + "\n" + `{"outcome":{"ok":tr`, "", 1, "the outcome of the upgrade is not known"},
		"endless": {strings.Repeat("x", maxLine+1), "", 0, ErrForeign.Error()},
		"noise":   {"<html>\n", "", 0, ErrForeign.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(runtimeDir(t), "s")
			play(t, path, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set(HeaderProtocol, "1")
				_, _ = w.Write([]byte(tt.lines))
			})
			var events []Event
			o, err := Dial(path).Upgrade(t.Context(), UpgradeOptions{Events: func(e Event) { events = append(events, e) }})
			if o.Kind != tt.kind || len(events) != tt.steps || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("outcome %+v after %+v, %v", o, events, err)
			}
			if err == nil && (o.Took != 1500*time.Millisecond || events[1].Probation != 3*time.Second) {
				t.Errorf("outcome %+v after %+v", o, events)
			}
		})
	}
}

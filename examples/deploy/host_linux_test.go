package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// playEnv makes the test binary the program that is deployed.
const playEnv = "GRACEX_DEPLOY_TEST"

func TestMain(m *testing.M) {
	proctest.Play(playEnv, func(string) int {
		play()
		return 0
	})
	os.Exit(proctest.Main(m, "shop"))
}

// play is the program. What is behind the end of its file makes it a bad one.
func play() {
	text := string(must1(os.ReadFile("/proc/self/exe")))
	switch {
	case strings.HasSuffix(text, behaviour("exits")):
		fmt.Fprintln(os.Stderr, "shop: config.yaml: unknown key \"basket\"")
		os.Exit(9)
	case strings.HasSuffix(text, behaviour("panics")):
		go func() {
			for core.Status().State != core.StateCurrent {
				time.Sleep(time.Millisecond)
			}
			panic("a bug")
		}()
	case strings.HasSuffix(text, behaviour("hangs")):
		time.Sleep(2 * proctest.Patience)
	}
	main()
}

// behaviour is what a program ends with.
func behaviour(of string) string { return "\n" + of + " now\n" }

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// program writes the program to path. Each mark makes it another one.
func program(t *testing.T, path, mark, behaves string) {
	t.Helper()
	b := string(must1(os.ReadFile("/proc/self/exe")))
	must.Do(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.Do(t, proctest.WriteProgram(path, b+mark+behaviour(behaves)))
}

// host is a machine with gracex, for the app in srv/shop.
type host struct {
	t    *testing.T
	dir  string // what commands run in, and everything is below it
	app  string // its releases
	run  string // its control socket
	addr string
	bin  string // the first in PATH
	shop *proctest.Program
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "gxd"))(t) // t.TempDir can be too long for a socket
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &host{t: t, dir: dir, app: dir + "/srv/shop", run: dir + "/run", addr: proctest.FreeAddr(t), bin: dir + "/bin"}
	for _, d := range []string{h.app, h.run, h.bin} {
		must.Do(t, os.MkdirAll(d, 0o755))
	}
	proctest.Build(t, h.bin+"/gracex", deploytest.Command)
	return h
}

// start starts the service by a path below the host's directory.
func (h *host) start(path string) {
	h.t.Helper()
	h.shop = proctest.Start(h.t, h.cmd(h.app+"/"+path, h.flags()...))
	h.shop.Await("it serves", func() bool {
		_, err := deploytest.Post(h.addr, "/", "")
		return err == nil
	})
}

func (h *host) flags() []string {
	return []string{"-addr", h.addr, "-control", h.socket(), "-pidfile", h.run + "/shop.pid", "-probation", "50ms", "-drain", "5s"}
}

func (h *host) socket() string { return h.run + "/control.sock" }

// service has the first release serve.
func (h *host) service() {
	h.t.Helper()
	program(h.t, h.dir+"/first", "1", "serves")
	h.sh(0, `gracex deploy first --version 1.0.0 --install --dir `+h.app+" --socket "+h.socket())
	h.start("current/shop")
}

// cmd is a command on the host.
func (h *host) cmd(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "PATH="+h.bin+":"+os.Getenv("PATH"), "TMPDIR="+h.dir, "TERM=dumb",
		playEnv+"=shop", "GRACEX_MODE=self", "XDG_RUNTIME_DIR="+h.run, "HOME="+h.dir, "ADDR="+h.addr)
	return cmd
}

// sh runs a script as a CI job does: it ends at the first command that fails.
func (h *host) sh(status int, script string, env ...string) (out string) {
	h.t.Helper()
	cmd := h.cmd("bash", "-ec", script)
	cmd.Env = append(cmd.Env, env...)
	b, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		h.t.Errorf("exit status %d, want %d, of:\n%s\n%s", got, status, script, b)
	}
	return string(b)
}

// install has the host know a command that is a script.
func (h *host) install(name, script string) {
	h.t.Helper()
	must.Do(h.t, proctest.WriteProgram(h.bin+"/"+name, "#!/bin/sh\n"+script))
}

// current is the version that the next start gets, without what its name has of the hash. It is the one that runs.
func (h *host) current() string {
	h.t.Helper()
	id := filepath.Base(must.Get(os.Readlink(h.app + "/current"))(h.t))
	pid := deploytest.MustPost(h.t, h.addr, "/", "").PID
	if exe := must.Get(os.Readlink("/proc/" + pid + "/exe"))(h.t); exe != h.app+"/releases/"+id+"/shop" {
		h.t.Errorf("%s is current, and %s runs", id, exe)
	}
	if i := strings.LastIndexByte(id, '-'); i > 0 {
		return id[:i]
	}
	return id
}

func (h *host) wantCurrent(version string) {
	h.t.Helper()
	if got := h.current(); got != version {
		h.t.Errorf("%s is current, want %s", got, version)
	}
}

// offer has a web server offer the files of a folder, which need not be there yet.
func (h *host) offer(folder string) (url string) {
	s := httptest.NewServer(http.FileServer(http.Dir(folder)))
	h.t.Cleanup(s.Close)
	return s.URL
}

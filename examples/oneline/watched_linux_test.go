package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envWatchers makes the tests fail where one of the programs that watch is missing, and envNamespaces where no
// namespaces can be had.
const (
	envWatchers   = "CORE_TEST_WATCHERS"
	envNamespaces = "CORE_TEST_NAMESPACES"
)

func TestMain(m *testing.M) {
	proctest.Parallel(10) // they wait for probations
	os.Exit(proctest.Main(m))
}

// program is the import path of the program.
const program = "github.com/gracex-go/gracex/examples/oneline"

// watcher is what starts the program, and takes the end of that process for the end of the service.
type watcher struct {
	t    *testing.T
	dir  string // a directory for it
	app  string // the program
	addr string
	*deploytest.Process

	exe    string     // what the processes of the program execute, by its path where they are
	top    func() int // the process from which they descend
	signal func(syscall.Signal)
	ended  func() string // waits for the end of the service, and returns its exit status in the watcher's words
}

// TestWatched upgrades the program under load, kills what serves, and stops it. The process that was started is
// there to the end, and ends well.
func TestWatched(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		start func(*watcher)
		ends  string
	}{
		"pid 1":                  {inside(), "0"},
		"tini":                   {inside("tini", "--"), "0"},
		"dumb-init":              {inside("dumb-init", "--"), "0"},
		"a script that waits":    {inside("sh", "-c", `"$0"`), "0"},
		"a script, no container": {script, "0"},
		"runit":                  {runit, "0 0"},
		"s6":                     {s6, "0 0"},
		"supervisord":            {supervisord, "exit status 0"},
		"podman":                 {podman, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &watcher{t: t, dir: t.TempDir(), addr: proctest.FreeAddr(t)}
			w.app = filepath.Join(w.dir, "oneline")
			w.exe, w.top = w.app, func() int { return w.PID() }
			proctest.Build(t, w.app, program)
			tt.start(w)
			w.goesThrough(tt.ends)
		})
	}
}

// goesThrough is the life of the service.
func (w *watcher) goesThrough(ends string) {
	t := w.t
	proctest.Await(t, "it serves", func() bool {
		_, err := deploytest.Post(w.addr, "/", "")
		return err == nil || !w.Running()
	})
	first := w.first()
	began := w.began(first)
	run := load.Start(load.Config{Addr: w.addr, Clients: 4, Fresh: 2, Think: 5 * time.Millisecond, Timeout: proctest.Patience})
	for i := range 5 {
		w.signal(syscall.SIGHUP)
		deploytest.AwaitGeneration(t, run, strconv.Itoa(i+1))
		if i == 0 {
			deploytest.AwaitSupervisor(t, first, "oneline")
		}
	}
	deploytest.StopLoad(t, run)
	if now := w.first(); now != first || w.began(now) != began {
		t.Errorf("process %d is watched, want %d", now, first)
	}
	w.replaces()
	answer := deploytest.Hold(t, w.addr, "500ms")
	w.signal(syscall.SIGTERM)
	if _, err := answer(); err != nil {
		t.Errorf("the answer that was under way when the stop came: %v", err)
	}
	if got := w.ended(); got != ends {
		t.Errorf("it ended with %q, want %q", got, ends)
	}
}

// replaces kills the process that serves. Another one serves at once, and no connection is refused.
func (w *watcher) replaces() {
	t := w.t
	run := load.Start(load.Config{Addr: w.addr, Fresh: 2, Think: 5 * time.Millisecond, Timeout: proctest.Patience})
	before := deploytest.MustPost(t, w.addr, "/", "")
	must.Do(t, syscall.Kill(w.outside(before.PID), syscall.SIGKILL))
	proctest.Await(t, "another process serves", func() bool {
		a, err := deploytest.Post(w.addr, "/", "")
		return err == nil && a.PID != before.PID
	})
	if r := run.Stop(); r.Reasons[load.Refused] != 0 {
		t.Errorf("%d connections were refused", r.Reasons[load.Refused])
	}
}

// processes are those of the program that descend from the watcher, by their numbers outside of any namespace.
func (w *watcher) processes() (pids []int) {
	var walk func(pid int)
	walk = func(pid int) {
		if path, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); strings.HasPrefix(path, w.exe) {
			pids = append(pids, pid)
		}
		lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
		for _, list := range lists {
			b, _ := os.ReadFile(list)
			for _, f := range strings.Fields(string(b)) {
				walk(must.Get(strconv.Atoi(f))(w.t))
			}
		}
	}
	walk(w.top())
	return pids
}

// first is the process that the watcher has started, and others are those behind it.
func (w *watcher) first() int {
	w.t.Helper()
	all := w.processes()
	if len(all) == 0 {
		w.t.Fatal("no process of the program is there")
	}
	return all[0]
}

// outside is the number here of a process behind the first one, of which the program knows the one in its pid
// namespace (proc_pid_status(5)).
func (w *watcher) outside(inside string) int {
	w.t.Helper()
	for _, pid := range w.processes()[1:] {
		b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		for line := range strings.Lines(string(b)) {
			if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok && slices.Contains(strings.Fields(numbers), inside) {
				return pid
			}
		}
	}
	w.t.Fatalf("process %s is none of the program's", inside)
	return 0
}

// began is when a process began, in clock ticks since boot (proc_pid_stat(5)).
func (w *watcher) began(pid int) string {
	w.t.Helper()
	b := must.Get(os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"))(w.t)
	return strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))[20]
}

// needs skips the test where a program is missing.
func (w *watcher) needs(name string) {
	w.t.Helper()
	_, err := exec.LookPath(name)
	deploytest.Need(w.t, envWatchers, err, "on Debian, apt-get install tini dumb-init runit s6 supervisor podman runc")
}

// starts starts the watcher. It gets the address of the program in its environment, and hardly more.
func (w *watcher) starts(cmd *exec.Cmd) {
	w.t.Helper()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ADDR=" + w.addr}
	w.Process = deploytest.Start(w.t, cmd, syscall.SIGKILL)
}

// inside runs the program in a container's pid namespace, behind what is pid 1 there.
func inside(pid1 ...string) func(*watcher) {
	return func(w *watcher) {
		if len(pid1) > 0 {
			w.needs(pid1[0])
		}
		deploytest.Need(w.t, envNamespaces, deploytest.Namespaces(syscall.CLONE_NEWPID|syscall.CLONE_NEWNS),
			"it takes root, and a sandbox that permits unshare(2) and mount(2)")
		w.starts(deploytest.PID1(0, "", append(pid1, w.app)...))
		w.signal = func(sig syscall.Signal) { must.Do(w.t, syscall.Kill(w.first(), sig)) }
		w.ended = func() string { return strconv.Itoa(w.AwaitEnd()) }
	}
}

// script is a shell script that starts the program, waits for it and passes nothing on.
func script(w *watcher) {
	w.starts(exec.Command("/bin/sh", "-c", `"$0" & wait $!`, w.app))
	w.signal = func(sig syscall.Signal) { must.Do(w.t, syscall.Kill(w.first(), sig)) }
	w.ended = func() string { return strconv.Itoa(w.AwaitEnd()) }
}

// service makes the directory of a service, with scripts that start the program and note how it ended.
func (w *watcher) service() (dir string) {
	w.t.Helper()
	dir = filepath.Join(w.dir, "service")
	must.Do(w.t, os.Mkdir(dir, 0o755))
	for name, text := range map[string]string{"run": "exec " + w.app, "finish": "echo $1 $2 >" + w.dir + "/ended"} {
		must.Do(w.t, proctest.WriteProgram(filepath.Join(dir, name), "#!/bin/sh\n"+text+"\n"))
	}
	return dir
}

// tells runs the watcher's own command.
func (w *watcher) tells(name string, args ...string) {
	w.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		w.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// finished is what the finish script has noted.
func (w *watcher) finished() string {
	w.t.Helper()
	var text string
	proctest.Await(w.t, "the service has ended", func() bool {
		b, _ := os.ReadFile(filepath.Join(w.dir, "ended"))
		text = strings.TrimSpace(string(b))
		return text != ""
	})
	return text
}

func runit(w *watcher) {
	w.needs("runsv")
	dir := w.service()
	w.starts(exec.Command("runsv", dir))
	w.signal = func(sig syscall.Signal) {
		w.tells("sv", map[syscall.Signal]string{syscall.SIGHUP: "hup", syscall.SIGTERM: "down"}[sig], dir)
	}
	w.ended = w.finished
}

func s6(w *watcher) {
	w.needs("s6-supervise")
	dir := w.service()
	w.starts(exec.Command("s6-supervise", dir))
	w.signal = func(sig syscall.Signal) {
		w.tells("s6-svc", map[syscall.Signal]string{syscall.SIGHUP: "-h", syscall.SIGTERM: "-d"}[sig], dir)
	}
	w.ended = w.finished
}

// supervisordConf is a configuration with nothing that is about gracex: %[1]s is a directory, %[2]s the program.
const supervisordConf = `[supervisord]
nodaemon=true
logfile=%[1]s/log
pidfile=%[1]s/pid
[unix_http_server]
file=%[1]s/ctl
[supervisorctl]
serverurl=unix://%[1]s/ctl
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:web]
command=%[2]s
stopwaitsecs=60
`

func supervisord(w *watcher) {
	w.needs("supervisord")
	dir := must.Get(os.MkdirTemp("", "gx"))(w.t) // short, for the socket's path
	w.t.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "conf")
	must.Do(w.t, os.WriteFile(conf, fmt.Appendf(nil, supervisordConf, dir, w.app), 0o600))
	w.starts(exec.Command("supervisord", "-c", conf))
	w.signal = func(sig syscall.Signal) {
		w.tells("supervisorctl", append([]string{"-c", conf}, map[syscall.Signal][]string{
			syscall.SIGHUP: {"signal", "HUP", "web"}, syscall.SIGTERM: {"stop", "web"},
		}[sig]...)...)
	}
	w.ended = func() string {
		_, end, _ := strings.Cut(string(must.Get(os.ReadFile(filepath.Join(dir, "log")))(w.t)), "stopped: web (")
		end, _, _ = strings.Cut(end, ")")
		return end
	}
}

// podman runs an image with the program and nothing else.
func podman(w *watcher) {
	t := w.t
	for _, name := range []string{"podman", "runc"} {
		w.needs(name)
	}
	if os.Geteuid() != 0 {
		t.Skip("it takes root")
	}
	image := filepath.Join(w.dir, "image")
	must.Do(t, os.Mkdir(image, 0o755))
	for name, text := range map[string]string{
		"Containerfile": "FROM scratch\nCOPY oneline nothing /\n", "nothing.go": "package main\n\nfunc main() {}\n",
	} {
		must.Do(t, os.WriteFile(filepath.Join(image, name), []byte(text), 0o644))
	}
	for name, from := range map[string]string{"oneline": program, "nothing": filepath.Join(image, "nothing.go")} {
		build := exec.Command("go", "build", "-o", filepath.Join(image, name), from)
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // there is no C library in the image
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	storage := must.Get(os.MkdirTemp("", "gx"))(t)
	t.Cleanup(func() { os.RemoveAll(storage) })
	global := []string{
		"--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"), "--storage-driver", "vfs",
		"--runtime", must.Get(exec.LookPath("runc"))(t), "--cgroup-manager", "cgroupfs",
	}
	try := func(args ...string) (string, error) {
		out, err := exec.Command("podman", append(global, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := try(args...)
		if err != nil {
			t.Fatalf("podman %q: %v\n%s", args, err, out)
		}
		return out
	}
	how := []string{"--network", "host", "--ulimit", "nofile=" + limit(t, syscall.RLIMIT_NOFILE, 4096),
		"--ulimit", "nproc=" + limit(t, rlimitNproc, 10000)}
	out, err := try("build", "--tag", "oneline", image)
	if err == nil {
		out, err = try(slices.Concat([]string{"run", "--rm"}, how, []string{"oneline", "/nothing"})...)
	}
	if err != nil {
		t.Skipf("podman can't run a container that does nothing here: %v\n%s", err, out)
	}
	web := []string{"create", "--name", "web", "--env", "ADDR=" + w.addr}
	run(slices.Concat(web, how, []string{"oneline", "/oneline"})...)
	t.Cleanup(func() { run("rm", "--force", "--ignore", "web") })
	w.starts(exec.Command("podman", append(global, "start", "--attach", "--sig-proxy=false", "web")...))
	w.exe = "/oneline"
	w.top = func() int { return must.Get(strconv.Atoi(run("inspect", "--format", "{{.State.Pid}}", "web")))(t) }
	w.signal = func(sig syscall.Signal) { run("kill", "--signal", strconv.Itoa(int(sig)), "web") }
	w.ended = func() string { return run("wait", "web") }
}

// rlimitNproc is RLIMIT_NPROC (getrlimit(2)), which package syscall has not.
const rlimitNproc = 6

// limit is a limit for a container, which can be no more than this process's. Podman's own would be.
func limit(t *testing.T, resource int, most uint64) string {
	t.Helper()
	var own syscall.Rlimit
	must.Do(t, syscall.Getrlimit(resource, &own))
	n := strconv.FormatUint(min(own.Max, most), 10)
	return n + ":" + n
}

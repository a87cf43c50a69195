package supervisord

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envSupervisord makes the test fail where there is no supervisord.
const envSupervisord = "CORE_TEST_SUPERVISORD"

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

// service is the example under supervisord.
type service struct {
	t         *testing.T
	dir, addr string
	pid       string // that supervisorctl shows
}

// TestSupervisord: upgrades, a crash and a stop under a real supervisord, which sees one
// process all the time. Clients see nothing, but for what was in the worker that crashed.
func TestSupervisord(t *testing.T) {
	t.Parallel()
	s := startService(t)
	run := deploytest.Load(t, s.addr)
	for i := range 5 {
		if i == 0 {
			s.ctl("signal", "HUP", "web")
		} else {
			s.signal(s.pid, syscall.SIGHUP)
		}
		deploytest.AwaitGeneration(t, run, strconv.Itoa(i+1))
		if i == 0 {
			deploytest.AwaitSupervisor(t, must.Get(strconv.Atoi(s.pid))(t), "server")
		}
	}
	deploytest.StopLoad(t, run)
	s.unmoved()
	s.crash()
	s.unmoved()

	answer := deploytest.Hold(t, s.addr, "1s")
	s.ctl("stop", "web")
	if _, err := answer(); err != nil {
		t.Errorf("the answer that was under way when the stop came: %v", err)
	}
	if log := s.read("supervisord.log"); !strings.Contains(log, "stopped: web (exit status 0)") {
		t.Errorf("no clean stop in supervisord's log:\n%s", log)
	}
}

// crash kills the worker while the supervisor stands still, so that clients come when
// nobody accepts. They wait, and are served by the next worker.
func (s *service) crash() {
	s.t.Helper()
	bad := deploytest.MustPost(s.t, s.addr, "/", "").PID
	s.signal(s.pid, syscall.SIGSTOP)
	s.signal(bad, syscall.SIGKILL)
	proctest.Await(s.t, "the worker has ended", func() bool {
		b, err := os.ReadFile("/proc/" + bad + "/stat")
		return err != nil || strings.Contains(string(b), ") Z ")
	})
	type result struct {
		load.Answer
		error
	}
	results := make(chan result)
	const clients = 16
	for range clients {
		go func() {
			a, err := deploytest.Post(s.addr, "/", "patient")
			results <- result{a, err}
		}()
	}
	proctest.Await(s.t, "the clients wait", func() bool { return connectedTo(s.t, s.addr) >= clients })
	s.signal(s.pid, syscall.SIGCONT)
	for range clients {
		if r := <-results; r.error != nil || r.PID == bad {
			s.t.Errorf("a client that came after the crash: %+v, %v", r.Answer, r.error)
		}
	}
}

// connectedTo counts the established connections that clients have to addr.
func connectedTo(t *testing.T, addr string) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/net/tcp") // proc(5): the remote address is the third column
	must.Do(t, err)
	_, port, _ := strings.Cut(addr, ":")
	p := must.Get(strconv.Atoi(port))(t)
	remote := ":" + strings.ToUpper(strconv.FormatInt(int64(0x10000+p), 16)[1:])
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[2], remote) && f[3] == "01" {
			n++
		}
	}
	return n
}

// unmoved checks that supervisord sees the process that it started.
func (s *service) unmoved() {
	s.t.Helper()
	if now := strings.Fields(s.ctl("status", "web")); len(now) < 4 || now[1] != "RUNNING" || now[3] != s.pid+"," {
		s.t.Errorf("supervisorctl status: %q; want process %s", now, s.pid)
	}
}

func startService(t *testing.T) *service {
	t.Helper()
	s := prepareService(t)
	proctest.Build(t, filepath.Join(s.dir, "server"), deploytest.Example)
	s.configure()
	s.start()
	return s
}

// prepareService returns a service without a program.
func prepareService(t *testing.T) *service {
	t.Helper()
	_, err := exec.LookPath("supervisord")
	deploytest.Need(t, envSupervisord, err, "on Debian, apt-get install supervisor")
	dir, err := os.MkdirTemp("", "gx") // short, for the socket's path
	must.Do(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &service{t: t, dir: dir, addr: proctest.FreeAddr(t)}
}

// configure writes the example's configuration with the test's address, and with each text in place of the one
// before it.
func (s *service) configure(changes ...string) {
	s.t.Helper()
	text := string(must.Get(os.ReadFile("supervisord.conf"))(s.t))
	const place = "-addr 127.0.0.1:8080"
	changes = append(changes, place, "-addr "+s.addr+" -probation 0")
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			s.t.Fatalf("%q is not in supervisord.conf", changes[i])
		}
		text = strings.Replace(text, changes[i], changes[i+1], 1)
	}
	must.Do(s.t, os.WriteFile(s.config(), []byte(text), 0o600))
}

// start starts supervisord, and waits until the program serves.
func (s *service) start() {
	t := s.t
	t.Helper()
	// On SIGTERM it stops what it has started, and then ends.
	p := deploytest.Start(t, exec.Command("supervisord", "-c", s.config()), syscall.SIGTERM)
	proctest.Await(t, "the program serves", func() bool {
		if !p.Running() {
			t.Fatal("supervisord has ended")
		}
		_, err := deploytest.Post(s.addr, "/", "")
		return err == nil
	})
	proctest.Await(t, "supervisord trusts it", func() bool { return strings.Contains(s.ctl("status", "web"), "RUNNING") })
	s.pid = strings.TrimSpace(s.ctl("pid", "web"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("supervisord.log:\n%s\nweb.log:\n%s", s.read("supervisord.log"), s.read("web.log"))
		}
	})
}

func (s *service) config() string { return filepath.Join(s.dir, "supervisord.conf") }

// ctl runs supervisorctl.
func (s *service) ctl(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("supervisorctl", append([]string{"-c", s.config()}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("supervisorctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (s *service) signal(pid string, sig syscall.Signal) {
	s.t.Helper()
	n, err := strconv.Atoi(pid)
	if err == nil {
		err = syscall.Kill(n, sig)
	}
	if err != nil {
		s.t.Fatalf("%v to process %s: %v", sig, pid, err)
	}
}

func (s *service) read(name string) string {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

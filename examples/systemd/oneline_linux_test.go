package systemd

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// oneline starts a Gin program with one line changed, and no option, as a service of this Type=, with what else is in
// the unit.
func oneline(t *testing.T, kind, more string) *service {
	t.Helper()
	s := startManager(t, "").deploy("gracex-oneline")
	s.install("oneline", func(path string) {
		proctest.Build(t, path, "github.com/gracex-go/gracex/examples/oneline")
	})
	s.unit(s.name+".service", `[Service]
Type=`+kind+`
Environment=ADDR=`+s.addr+`
ExecStart=/opt/gracex-example/oneline
ExecReload=/bin/kill -HUP $MAINPID
TimeoutStopSec=40
Restart=on-failure
`+more)
	s.must("daemon-reload")
	s.must("start", s.name)
	proctest.Await(t, "it serves", func() bool { _, err := deploytest.Post(s.addr, "/", ""); return err == nil })
	return s
}

// upgrades has systemd send 5 signals under load, and calls after when the first new process serves.
func (s *service) upgrades(after func()) {
	s.t.Helper()
	run := load.Start(load.Config{
		Addr: s.addr, Clients: 4, Fresh: 2, Think: 5 * time.Millisecond, Timeout: proctest.Patience,
	})
	for i := range 5 {
		s.must("reload", s.name)
		deploytest.AwaitGeneration(s.t, run, strconv.Itoa(i+1))
		if i == 0 {
			after()
		}
	}
	deploytest.StopLoad(s.t, run)
}

// has checks what systemd knows of the service.
func (s *service) has(properties map[string]string) {
	s.t.Helper()
	for property, want := range properties {
		if got := s.show(s.name, property); got != want {
			s.t.Errorf("%s=%s, want %s", property, got, want)
		}
	}
}

// TestWithoutNotify: a unit that does not tell the program of systemd. The process that systemd has started is the
// main one to the end. A process behind it that is killed is replaced, and no connection is refused.
func TestWithoutNotify(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"simple", "exec"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := oneline(t, kind, "")
			first := deploytest.MustPost(t, s.addr, "/", "").PID
			s.upgrades(func() { // a SIGHUP in the moment of the execve can be lost (docs/supervise.md)
				proctest.Await(t, "the first process is the supervisor alone", func() bool {
					out, _ := s.Inside("sh", "-c", "tr '\\0' '\\n' </proc/"+first+"/environ; cat /proc/"+first+"/comm")
					return deploytest.Supervises(out) && strings.HasSuffix(out, "\noneline\n")
				})
			})
			worker := deploytest.MustPost(t, s.addr, "/", "").PID
			run := load.Start(load.Config{Addr: s.addr, Fresh: 2, Think: 5 * time.Millisecond, Timeout: proctest.Patience})
			s.MustInside("kill", "-KILL", worker)
			proctest.Await(t, "another process serves", func() bool {
				a, err := deploytest.Post(s.addr, "/", "")
				return err == nil && a.PID != worker
			})
			if r := run.Stop(); r.Reasons[load.Refused] != 0 {
				t.Errorf("%d connections were refused", r.Reasons[load.Refused])
			}
			s.has(map[string]string{"MainPID": first, "ActiveState": "active", "SubState": "running", "NRestarts": "0"})
			s.stops()
		})
	}
}

// TestNotifyBySignal: a unit that tells the program of systemd, which follows the process that serves, and starts the
// service again after a crash.
func TestNotifyBySignal(t *testing.T) {
	t.Parallel()
	s := oneline(t, "notify", "NotifyAccess=all\n")
	s.upgrades(func() {})
	follows := func(restarts string) string {
		pid := deploytest.MustPost(t, s.addr, "/", "").PID
		proctest.Await(t, "the process that serves is the main one", func() bool { return s.show(s.name, "MainPID") == pid })
		s.has(map[string]string{"ActiveState": "active", "SubState": "running", "NRestarts": restarts})
		return pid
	}
	last := follows("0")
	proctest.Await(t, "the old processes have ended", func() bool {
		return len(strings.Fields(s.MustInside("cat", "/sys/fs/cgroup/system.slice/"+s.name+".service/cgroup.procs"))) == 1
	})
	s.MustInside("kill", "-KILL", last)
	proctest.Await(t, "the service runs again", func() bool {
		a, err := deploytest.Post(s.addr, "/", "")
		return err == nil && a.PID != last
	})
	follows("1")
	s.stops()
}

package systemd

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestLeave: a service whose main process is a start_server, or a script that waits for one, becomes one of
// the program itself while it runs, as docs/migration/leaving.md has it. No client notices, and the service
// has not been restarted.
func TestLeave(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"itself":      "start_server --interval=1 --port=%s -- %s",
		"by a script": "/bin/sh -c \"start_server --interval=1 --port=%s -- %s; exit 0\"",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLeave(t, command)
		})
	}
}

// command has the address and the program.
func testLeave(t *testing.T, command string) {
	_, err := exec.LookPath("start_server")
	deploytest.Need(t, envSystemd, err, "on Debian, apt-get install libserver-starter-perl")
	m := startManager(t, "")
	s := &service{manager: m, name: "gracex-left", addr: proctest.FreeAddr(t)}
	const pidfile = "/opt/gracex-example/left.pid"
	program := "/opt/gracex-example/server -addr " + s.addr + " -pidfile " + pidfile + " -drain 25s -probation 20ms"
	output := "\nStandardOutput=append:" + s.log + "\nStandardError=append:" + s.log + "\n"
	s.install("server", func(path string) { proctest.Build(t, path, deploytest.Example) })
	s.install("gracex", func(path string) { proctest.Build(t, path, deploytest.Command) })
	s.unit(s.name+".service", "[Service]\nExecStart="+fmt.Sprintf(command, s.addr, program)+output)
	s.must("daemon-reload")
	s.must("start", s.name)
	main := s.show(s.name, "MainPID")
	proctest.Await(t, "it serves", func() bool {
		_, err := deploytest.Post(s.addr, "/", "")
		return err == nil
	})
	s.since = s.show(s.name, "ActiveEnterTimestampMonotonic")
	run := deploytest.Load(t, s.addr)
	leave := func() (string, error) {
		return s.Inside("/opt/gracex-example/gracex", "upgrade", "--leave", "--pid-file", pidfile)
	}
	if out, err := leave(); err == nil || !strings.Contains(out, "runs as gracex-left.service, which ends with it: give it NotifyAccess=all") {
		t.Errorf("with a service that would end: %v\n%s", err, out)
	}

	// The unit of the program alone, for a service that runs.
	s.unit(s.name+".service", "[Service]\nType=notify\nNotifyAccess=all\nRestart=on-failure\nExecStart="+program+output)
	s.must("daemon-reload")
	if out, err := leave(); err != nil || !strings.Contains(out, "start_server (pid ") {
		t.Fatalf("%v\n%s", err, out)
	}
	proctest.Await(t, "the master is gone, and what has started it", func() bool {
		_, err := s.Inside("kill", "-0", main)
		return err != nil
	})
	a := s.serves("1")
	s.must("kill", "--kill-who=main", "--signal=USR2", s.name)
	proctest.Await(t, "the next generation is the main process", func() bool {
		pid := s.show(s.name, "MainPID")
		return pid != a.PID && pid == deploytest.MustPost(t, s.addr, "/", "").PID
	})
	s.serves("2")
	deploytest.StopLoad(t, run)
	s.restarts()
	s.stops()
}

package systemd

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestHelper: a program on gracex that a service starts for a purpose of its own has the variables of the service, and
// says nothing to systemd: neither at its start nor at its end. A program that a shell has started, which waits for it,
// is the service itself.
func TestHelper(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("perl")
	deploytest.Need(t, envSystemd, err, "apt-get install perl")
	m := startManager(t, "")
	m.install("server", func(path string) { proctest.Build(t, path, deploytest.Example) })
	start := func(name, command string) *service {
		s := &service{manager: m, name: name, addr: proctest.FreeAddr(t)}
		m.unit(name+".service", "[Service]\nType=notify\nNotifyAccess=all\nExecStart="+
			fmt.Sprintf(command, "/opt/gracex-example/server -addr "+s.addr)+
			"\nStandardOutput=append:"+m.log+"\nStandardError=append:"+m.log+"\n")
		m.must("daemon-reload")
		m.must("start", name)
		return s
	}

	at := proctest.FreeAddr(t)
	s := start("gracex-helper", `/usr/bin/perl -e 'exec("/opt/gracex-example/server -addr `+at+`") if !fork; exec("%s")'`)
	service := deploytest.MustPost(t, s.addr, "/", "")
	proctest.Await(t, "the helper serves", func() bool {
		_, err := deploytest.Post(at, "/", "")
		return err == nil
	})
	helper := deploytest.MustPost(t, at, "/", "")
	if main := m.show(s.name, "MainPID"); main != service.PID {
		t.Errorf("the main process is %s, want %s; the helper is %s", main, service.PID, helper.PID)
	}
	if out, err := m.Inside("kill", "-TERM", helper.PID); err != nil {
		t.Fatal(out, err)
	}
	proctest.Await(t, "the helper has ended", func() bool {
		_, err := deploytest.Post(at, "/", "")
		return err != nil
	})
	if state, main := m.show(s.name, "ActiveState"), m.show(s.name, "MainPID"); state != "active" || main != service.PID {
		t.Errorf("without the helper the service is %s, and its main process %s", state, main)
	}
	m.must("stop", s.name)

	s = start("gracex-script", `/bin/sh -c '%s; exit $?'`)
	if a := deploytest.MustPost(t, s.addr, "/", ""); m.show(s.name, "MainPID") != a.PID {
		t.Errorf("process %s of the script serves, and is not the main one", a.PID)
	}
	m.must("stop", s.name)
}

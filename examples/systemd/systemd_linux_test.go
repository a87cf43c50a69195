package systemd

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// service is the example as a service of a systemd.
type service struct {
	*manager
	name, addr string
	since      string // when it became active
}

// deploy has the unit ready to start, with the test's address and a short probation.
func (m *manager) deploy(name string) *service {
	t := m.t
	t.Helper()
	s := &service{manager: m, name: name, addr: proctest.FreeAddr(t)}
	s.install("server", func(path string) { proctest.Build(t, path, deploytest.Example) })
	s.install("gracex", func(path string) { proctest.Build(t, path, deploytest.Command) })
	s.unit(name+".service.d/test.conf", `[Service]
Environment="ARGS=-addr `+s.addr+` -drain 25s -probation 20ms"
Environment=GORACE=atexit_sleep_ms=0
StandardOutput=append:`+s.log+`
StandardError=append:`+s.log+`
`)
	s.unit(name+".socket.d/test.conf", "[Socket]\nListenStream=\nListenStream="+s.addr+"\n")
	s.must("daemon-reload")
	return s
}

// begun notes when the service has begun. Its first answers may come before systemd has read that it is ready.
func (s *service) begun() {
	s.t.Helper()
	proctest.Await(s.t, "the service is active", func() bool { return s.show(s.name, "ActiveState") == "active" })
	s.since = s.show(s.name, "ActiveEnterTimestampMonotonic")
	s.serves("0")
}

// serves checks that the generation answers and is, for systemd, the main process of the
// service that has run all the time.
func (s *service) serves(generation string) load.Answer {
	s.t.Helper()
	a := deploytest.MustPost(s.t, s.addr, "/", "hello")
	if a.Generation != generation {
		s.t.Errorf("generation %s answers, want %s", a.Generation, generation)
	}
	for property, want := range map[string]string{
		"MainPID": a.PID, "ActiveState": "active", "SubState": "running", "NRestarts": "0",
		"ActiveEnterTimestampMonotonic": s.since,
	} {
		if got := s.show(s.name, property); got != want {
			s.t.Errorf("generation %s: %s=%s, want %s", generation, property, got, want)
		}
	}
	return a
}

// restarts checks that systemd notices a crash of the main process, although it has not
// started that, and starts the service again.
func (s *service) restarts() {
	s.t.Helper()
	s.must("kill", "--kill-who=main", "--signal=KILL", s.name)
	proctest.Await(s.t, "the service runs again", func() bool {
		a, err := deploytest.Post(s.addr, "/", "")
		return err == nil && a.Generation == "0"
	})
	if n := s.show(s.name, "NRestarts"); n != "1" {
		s.t.Errorf("NRestarts=%s after one crash", n)
	}
}

// stops checks that a stop answers what has begun, and that systemd is content.
func (s *service) stops() {
	s.t.Helper()
	answer := deploytest.Hold(s.t, s.addr, "300ms")
	s.must("stop", s.name+".service")
	if _, err := answer(); err != nil {
		s.t.Errorf("the answer that was under way when the stop came: %v", err)
	}
	s.stopped()
}

// stopped checks that systemd is content with a stop.
func (s *service) stopped() {
	s.t.Helper()
	for property, want := range map[string]string{"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"} {
		if got := s.show(s.name, property); got != want {
			s.t.Errorf("after the stop: %s=%s, want %s", property, got, want)
		}
	}
}

// TestNotify: 20 upgrades under load by systemctl reload, which returns when the next
// generation serves, and fails if none does.
func TestNotify(t *testing.T) {
	t.Parallel()
	s := startManager(t, "").deploy("gracex-example")
	s.must("start", s.name)
	s.begun()
	run := deploytest.Load(t, s.addr)
	const upgrades = 20
	for i := range upgrades {
		s.must("reload", s.name)
		s.serves(strconv.Itoa(i + 1))
	}

	good := filepath.Join(s.app, "good")
	must.Do(t, os.Link(filepath.Join(s.app, "server"), good))
	s.install("server", func(path string) { must.Do(t, proctest.WriteProgram(path, "#!/bin/sh\nexit 7\n")) })
	if err := s.systemctl("reload", s.name); err == nil {
		t.Error("systemctl reload has succeeded with a new version that can't run")
	}
	s.serves(strconv.Itoa(upgrades))
	s.install("server", func(path string) {
		must.Do(t, os.Rename(good, path))
	})
	s.must("reload", s.name)
	deploytest.StopLoad(t, run)
	if a := deploytest.MustPost(t, s.addr, "/", ""); s.show(s.name, "MainPID") != a.PID {
		t.Errorf("process %s serves, and is not the main one", a.PID)
	}
	s.stops()

	s.must("start", s.name)
	s.begun()
	s.must("reload", s.name)
	s.serves("1")
	s.restarts()
}

// TestSocket: the first clients start the service, once. Upgrades keep the socket, and
// after a stop it is still there for the next client.
func TestSocket(t *testing.T) {
	t.Parallel()
	s := startManager(t, "").deploy("gracex-example-socket")
	s.must("start", s.name+".socket")
	if got := s.show(s.name+".service", "ActiveState"); got != "inactive" {
		t.Fatalf("the service is %s before the first client", got)
	}
	answers := make(chan error)
	const clients = 8
	for range clients {
		go func() {
			_, err := deploytest.Post(s.addr, "/", "early")
			answers <- err
		}()
	}
	for range clients {
		if err := <-answers; err != nil {
			t.Errorf("an early client: %v", err)
		}
	}
	s.begun()
	run := deploytest.Load(t, s.addr)
	for i := range 3 {
		s.must("reload", s.name+".service")
		s.serves(strconv.Itoa(i + 1))
	}
	deploytest.StopLoad(t, run)
	s.stops()
	s.since = ""
	if a := deploytest.MustPost(t, s.addr, "/", "late"); a.Generation != "0" {
		t.Errorf("generation %s answers after a stop and a new start", a.Generation)
	}
	s.stops()
}

// TestNotifyReload: 5 upgrades by SIGHUP from systemd, which waits for the end of each.
func TestNotifyReload(t *testing.T) {
	t.Parallel()
	m := startManager(t, os.Getenv(envSystemdRoot))
	if n := m.version(); n < 253 {
		t.Skipf("systemd %d has no Type=notify-reload, 253 has; see %s", n, envSystemdRoot)
	}
	s := m.deploy("gracex-example-reload")
	s.must("start", s.name)
	s.begun()
	run := deploytest.Load(t, s.addr)
	for i := range 5 {
		s.must("reload", s.name)
		s.serves(strconv.Itoa(i + 1))
	}
	deploytest.StopLoad(t, run)
	s.stops()
}

// TestTakenBack: the main process is killed while the one before it drains. That one serves again, and
// is the main process of a service that has not ended.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	s := startManager(t, "").deploy("gracex-example")
	s.must("start", s.name)
	s.begun()
	answer := deploytest.Hold(t, s.addr, "5s")
	s.must("reload", s.name)
	second := s.serves("1")
	s.must("kill", "--kill-who=main", "--signal=KILL", s.name)
	proctest.Await(t, "the old process is the main one again", func() bool {
		pid := s.show(s.name, "MainPID")
		return pid != second.PID && pid != "0"
	})
	s.serves("0")
	if _, err := answer(); err != nil {
		t.Errorf("the answer that was under way: %v", err)
	}
	s.must("reload", s.name)
	s.serves("1")
	s.stops()
}

// TestVerify: systemd-analyze has nothing to say about the units.
func TestVerify(t *testing.T) {
	t.Parallel()
	m := startManager(t, "")
	for _, name := range []string{"server", "gracex"} {
		m.install(name, func(path string) {
			must.Do(t, os.WriteFile(path, nil, 0o755))
		})
	}
	files, err := filepath.Glob(filepath.Join(m.units, "gracex-*"))
	if err != nil || len(files) < 4 {
		t.Fatalf("the units are %q, %v", files, err)
	}
	for _, f := range files {
		if filepath.Base(f) == "gracex-example-reload.service" && m.version() < 253 {
			continue
		}
		if out := m.MustInside("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", f); out != "" {
			t.Errorf("%s: %s", filepath.Base(f), out)
		}
	}
}

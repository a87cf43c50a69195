package systemd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/must"
)

// harden gives a unit the lines of hardened.conf, and more.
func (s *service) harden(more string) {
	s.t.Helper()
	b := must.Get(os.ReadFile("hardened.conf"))(s.t)
	s.unit(s.name+".service.d/hardened.conf", string(b)+more)
	s.must("daemon-reload")
}

// TestHardened: with every line of hardened.conf the units start, upgrade under load and stop as without.
func TestHardened(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, unit, first, more string }{
		{"service", "gracex-example", "gracex-example", ""},
		{"without new system calls", "gracex-example", "gracex-example", "SystemCallFilter=~close_range pidfd_open pidfd_send_signal\n"},
		{"socket", "gracex-example-socket", "gracex-example-socket.socket", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startManager(t, "").deploy(tt.unit)
			s.harden(tt.more)
			s.must("start", tt.first)
			if tt.first != tt.unit {
				deploytest.MustPost(t, s.addr, "/", "")
			}
			s.begun()
			run := deploytest.Load(t, s.addr)
			for _, generation := range []string{"1", "2"} {
				s.must("reload", s.name+".service")
				s.serves(generation)
			}
			deploytest.StopLoad(t, run)
			s.stops()
		})
	}
}

// TestHardened_WithoutUnixSockets: the start fails, and says which line is in the way.
func TestHardened_WithoutUnixSockets(t *testing.T) {
	t.Parallel()
	s := startManager(t, "").deploy("gracex-example")
	s.harden("RestrictAddressFamilies=\nRestrictAddressFamilies=AF_INET AF_INET6\nRestart=no\n")
	if err := s.systemctl("start", s.name); err == nil {
		t.Error("it has started")
	}
	log := string(must.Get(os.ReadFile(s.log))(t))
	const remedy = "address family not supported by protocol; add AF_UNIX to RestrictAddressFamilies= of the systemd unit"
	for _, what := range []string{"control socket: ", "the service manager can't be told"} {
		if !containsLine(log, what, remedy) {
			t.Errorf("no line about %q has the remedy", what)
		}
	}
}

// containsLine reports whether a line has both texts.
func containsLine(log, a, b string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, a) && strings.Contains(line, b) {
			return true
		}
	}
	return false
}

// TestHardened_HasEveryLine that systemd-analyze security knows, but for those that a server can't have.
func TestHardened_HasEveryLine(t *testing.T) {
	t.Parallel()
	reasons := map[string]string{
		"RootDirectory=/RootImage=":                "it takes a directory with all that the program needs",
		"RestrictAddressFamilies=~AF_UNIX":         "the control socket and the word to systemd",
		"RestrictAddressFamilies=~AF_(INET|INET6)": "the clients",
		"PrivateNetwork=":                          "the clients",
		"IPAddressDeny=":                           "the clients' addresses are the operator's to know",
		"DeviceAllow=":                             "ProtectClock= adds the clock, to be read",
		"NotifyAccess=":                            "a new process says that it is ready",
	}
	m := startManager(t, "")
	if n := m.version(); n < 250 {
		t.Skipf("systemd %d has no systemd-analyze security --offline, 250 has", n)
	}
	unit := must.Get(os.ReadFile("gracex-example.service"))(t)
	hardened := must.Get(os.ReadFile("hardened.conf"))(t)
	for _, name := range []string{"server", "gracex"} {
		m.install(name, func(path string) { must.Do(t, os.WriteFile(path, nil, 0o755)) })
	}
	m.unit("gracex-hard.service", string(unit)+string(hardened))
	out := m.MustInside("systemd-analyze", "security", "--offline=true", "--json=short", filepath.Join(m.units, "gracex-hard.service"))
	var lines []struct {
		Name     string
		Set      *bool
		Exposure *string
	}
	must.Do(t, json.Unmarshal([]byte(out), &lines))
	if len(lines) < 70 {
		t.Errorf("systemd-analyze knows %d lines", len(lines))
	}
	for _, l := range lines {
		if l.Set != nil && !*l.Set && reasons[l.Name] == "" {
			t.Errorf("%s is not set", l.Name)
		}
	}
	if out := m.MustInside("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", filepath.Join(m.units, "gracex-hard.service")); out != "" {
		t.Error(out)
	}
}

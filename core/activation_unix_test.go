//go:build unix

package core_test

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
)

// activate starts the app as a service manager does that has opened the files. LISTEN_PID=$$ is the number of the
// very process.
func activate(a *app, vars string, files []*os.File, args ...string) {
	a.t.Helper()
	a.files = files
	a.start("app", "/bin/sh", append([]string{"-c", vars + ` exec ./app "$@"`, "sh"}, args...)...)
}

// opened returns the file of a listening socket, as a service manager has it.
func opened(t *testing.T, network, address string) (f *os.File, at string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	must(t, err)
	if ul, ok := ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	return fileOf(t, ln), ln.Addr().String()
}

// openedPacket is that for a datagram socket.
func openedPacket(t *testing.T) (f *os.File, at string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	return fileOf(t, pc), pc.LocalAddr().String()
}

// fileOf returns the file of a socket, which it closes.
func fileOf(t *testing.T, socket interface{ Close() error }) *os.File {
	t.Helper()
	defer socket.Close()
	f, err := socket.(interface{ File() (*os.File, error) }).File()
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// TestActivation_SocketsStayThroughUpgradesAndAStop: they are claimed by name, address or descriptor.
func TestActivation_SocketsStayThroughUpgradesAndAStop(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.Mode{core.ModeSelf, core.ModeSupervised} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env = []string{core.EnvMode + "=" + mode.String()}
			byFD, fdAddr := opened(t, "tcp", "127.0.0.1:0")
			spare, _ := opened(t, "tcp", "127.0.0.1:0")
			byName, nameAddr := opened(t, "tcp", "127.0.0.1:0")
			path := a.path("sock")
			byPath, _ := opened(t, "unix", path)
			packets, _ := openedPacket(t)
			activate(a, "LISTEN_PID=$$ LISTEN_FDS=5 LISTEN_FDNAMES=unknown:unknown:web:unknown:packets",
				[]*os.File{byFD, spare, byName, byPath, packets},
				"-listen", "tcp,web", "-listen", "unix,sock", "-listen", "tcp,127.0.0.1:0", "-fd", "3")
			if got := a.expect("ready", 0).Addrs; got[0] != nameAddr || got[1] != path || got[3] != fdAddr {
				t.Errorf("listens on %q, want %q by name, %q by path and %q by descriptor", got, nameAddr, path, fdAddr)
			}
			a.expectLog("inherited listener not used any more", 1)
			a.expectLog("inherited datagram socket not used any more", 1)
			if out, err := get(nameAddr, "/child"); err != nil || strings.Contains(out, "LISTEN_") {
				t.Errorf("a child finds the variables: %s %v", out, err)
			}
			run := load.Start(load.Config{Addr: nameAddr, Clients: 8, Fresh: 8})
			upgradeTimes(a, 5)
			if mode == core.ModeSupervised {
				a.expect("end", 4) // else the one before would serve again
				a.signal(a.expect("ready", 5).PID, syscall.SIGKILL)
				a.expect("ready", 6)
			}
			res := run.Stop()
			t.Log(res)
			if lost := res.Failed; lost != 0 && mode == core.ModeSelf || res.Reasons[load.Refused] != 0 {
				t.Errorf("%d of %d requests failed", lost, res.Requests)
			}
			expectAnswers(t, fdAddr)
			a.stopAll(a.alive()[len(a.alive())-1])
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the path is the service manager's: %v", err)
			}
		})
	}
}

// TestActivation_PacketSocketsAreClaimedByNameAndAddress looks at datagram sockets, which upgrades keep, too.
func TestActivation_PacketSocketsAreClaimedByNameAndAddress(t *testing.T) {
	t.Parallel()
	a := installed(t)
	byName, nameAddr := openedPacket(t)
	byAddr, addr := openedPacket(t)
	activate(a, "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=dns:unknown", []*os.File{byName, byAddr},
		"-packet", "udp,"+addr, "-packet", "udp,dns")
	first := a.expect("ready", 0)
	if first.Addrs[1] != addr || first.Addrs[2] != nameAddr {
		t.Errorf("reads from %q, want %q by address and %q by name", first.Addrs[1:], addr, nameAddr)
	}
	s := startStream(t, dialPacket(t, a, "udp", nameAddr), 1)
	a.signal(first.PID, syscall.SIGUSR2)
	s.await(t, a.expect("ready", 1).PID)
	s.stop(t)
}

// TestActivation_OfAnotherProcessIsNoError: its variables are inherited by what it starts.
func TestActivation_OfAnotherProcessIsNoError(t *testing.T) {
	t.Parallel()
	a := installed(t)
	activate(a, "LISTEN_PID=1 LISTEN_FDS=1", nil)
	a.signal(a.expect("ready", 0).PID, syscall.SIGTERM)
}

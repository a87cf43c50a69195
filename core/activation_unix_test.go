//go:build unix

package core_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
)

// activate starts the app as a service manager does that has opened the files: LISTEN_PID
// is the number of the very process.
func activate(a *app, vars string, files []*os.File, args ...string) {
	a.t.Helper()
	install(a.t, filepath.Join(a.dir, "app"))
	a.files = files
	a.start("app", "/bin/sh", append([]string{"-c", vars + ` LISTEN_PID=$$ exec ./app "$@"`, "sh"}, args...)...)
}

// opened returns the file of a listening socket, as a service manager has it.
func opened(t *testing.T, network, address string) (f *os.File, at string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	must(t, err)
	if ul, ok := ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
	}
	f, err = ln.(interface{ File() (*os.File, error) }).File()
	must(t, err)
	ln.Close()
	t.Cleanup(func() { f.Close() })
	return f, ln.Addr().String()
}

// TestActivation: sockets that a service manager has opened are claimed by name, by address
// and by descriptor, whatever their order, and stay through upgrades and a stop.
func TestActivation(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.Mode{core.ModeSelf, core.ModeSupervised} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			a.env = []string{core.EnvMode + "=" + mode.String()}
			byFD, fdAddr := opened(t, "tcp", "127.0.0.1:0")
			spare, _ := opened(t, "tcp", "127.0.0.1:0")
			byName, nameAddr := opened(t, "tcp", "127.0.0.1:0")
			path := filepath.Join(a.dir, "sock")
			byPath, _ := opened(t, "unix", path)
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			must(t, err)
			defer pc.Close()
			packets, err := pc.(*net.UDPConn).File()
			must(t, err)
			defer packets.Close()

			activate(a, "LISTEN_FDS=5 LISTEN_FDNAMES=unknown:unknown:web:unknown:packets",
				[]*os.File{byFD, spare, byName, byPath, packets},
				"-listen", "tcp,web", "-listen", "unix,sock", "-listen", "tcp,127.0.0.1:0", "-fd", "3")
			first := a.expect("ready", 0)
			if got := first.Addrs; got[0] != nameAddr || got[1] != path || got[3] != fdAddr {
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
			if _, err := get(fdAddr, "/"); err != nil {
				t.Error(err)
			}
			a.signal(a.alive()[len(a.alive())-1], syscall.SIGTERM)
			a.expectGone()
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("the path is the service manager's: %v", err)
			}
		})
	}
}

// TestActivatedPackets: datagram sockets of a service manager's are claimed by name and by address.
func TestActivatedPackets(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	var files []*os.File
	var at []string
	for range 2 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		f, err := pc.(*net.UDPConn).File()
		must(t, err)
		pc.Close()
		defer f.Close()
		files, at = append(files, f), append(at, pc.LocalAddr().String())
	}
	activate(a, "LISTEN_FDS=2 LISTEN_FDNAMES=dns:unknown", files, "-packet", "udp,"+at[1], "-packet", "udp,dns")
	first := a.expect("ready", 0)
	if first.Addrs[1] != at[1] || first.Addrs[2] != at[0] {
		t.Errorf("reads from %q, want %q by address and %q by name", first.Addrs[1:], at[1], at[0])
	}
	s := startStream(t, dialPacket(t, a, "udp", at[0]), 1)
	a.signal(first.PID, syscall.SIGUSR2)
	s.await(t, a.expect("ready", 1).PID)
	s.stop(t)
}

// TestActivationBadInput: an error names the variable; what is for another process is none.
func TestActivationBadInput(t *testing.T) {
	t.Parallel()
	for vars, want := range map[string]string{
		"LISTEN_FDS=":                     `LISTEN_FDS=""`,
		"LISTEN_FDS=-1":                   `LISTEN_FDS="-1"`,
		"LISTEN_FDS=99999999999999999999": `LISTEN_FDS="99999999999999999999"`,
		"LISTEN_FDS=two":                  `LISTEN_FDS="two"`,
		"LISTEN_FDS=900":                  `LISTEN_FDS=900: descriptor`,
		"LISTEN_FDS=1 LISTEN_FDNAMES=a:b": `LISTEN_FDNAMES="a:b"`,
		"LISTEN_FDS=1":                    "LISTEN_FDS=1: descriptor 3 is a file",
		"for another process":             "",
	} {
		t.Run(vars, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			if want == "" {
				install(t, filepath.Join(a.dir, "app"))
				a.env = []string{"LISTEN_PID=1", "LISTEN_FDS=1"}
				a.start("app", "./app")
				a.signal(a.expect("ready", 0).PID, syscall.SIGTERM)
				return
			}
			f, err := os.Open(os.DevNull)
			must(t, err)
			defer f.Close()
			if strings.HasSuffix(want, "a file") {
				must(t, os.WriteFile(filepath.Join(a.dir, "file"), nil, 0o600))
				f, err = os.Open(filepath.Join(a.dir, "file"))
				must(t, err)
				defer f.Close()
			}
			activate(a, vars, []*os.File{f})
			if end := a.expect("end", 0); !strings.Contains(end.Err, want) {
				t.Errorf("%q, want %q", end.Err, want)
			}
		})
	}
}

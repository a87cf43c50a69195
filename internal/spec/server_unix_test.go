//go:build unix

package spec_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

const patience = proctest.Patience

// event is a line that a generation has logged.
type event struct {
	Msg        string
	PID        int
	Generation int
	Address    string // of "listening"
	Error      string
	State      string // of "state", see logStates
	Status     int    // of "state"
	New        int    // of "forked"
	Left       int    // of "drain timeout"
	Ledger     struct {
		Accepted, Served int
		Cut              int `json:"cut_requests"`
		Idle             int `json:"closed_idle"`
	} // of "generation ended"
}

// server is a running program in all its generations.
type server struct {
	*proctest.Program
	t       *testing.T
	pid     int // of the current generation
	gen     int // the current generation's number
	address string
	state   string // the directory that is its own
	events  *proctest.Events[event]
	holding sync.WaitGroup // what hold has begun
}

// start starts the program and returns when it is current.
func start(t *testing.T, f framework, m method, variant string) *server {
	t.Helper()
	for range 5 {
		s := launch(t, f, m, variant, "")
		began := s.await("to listen", func(e event) bool {
			return e.Msg == "listening" || e.Msg == "returned"
		})
		if slices.ContainsFunc(m.env, wantsPort) && strings.Contains(began.Error, "address already in use") {
			continue // somebody took the port that was free
		}
		s.address = dialable(began.Address)
		s.await("to be current", func(e event) bool { return e.Msg == "current" })
		return s
	}
	t.Fatal("no port stays free")
	return nil
}

// dialable is an address at which a server answers that listens on address.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

const freePort = "$port"

func wantsPort(env string) bool { return strings.HasSuffix(env, freePort) }

// launch starts the program and does not wait. An empty address is one that is free.
func launch(t *testing.T, f framework, m method, variant, address string) *server {
	t.Helper()
	name := f.name + "/" + m.name
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.MkdirTemp(theSite().dir, "")
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case address != "":
	case m.kind.network == "unix":
		address = filepath.Join(state, "sock")
	default:
		address = "127.0.0.1:0"
	}
	cmd := exec.Command(exe, address)
	cmd.Env = append(os.Environ(), programEnv+"="+name, variantEnv+"="+variant, siteEnv+"="+theSite().dir, stateEnv+"="+state)
	for _, e := range m.env {
		if wantsPort(e) {
			e = strings.TrimSuffix(e, freePort) + unusedPort(t)
		}
		cmd.Env = append(cmd.Env, e)
	}
	if m.fd {
		cmd.ExtraFiles = []*os.File{os.Stderr, listenFile(t)}
	}
	s := &server{t: t, state: state}
	t.Cleanup(s.holding.Wait) // behind the end of the program
	s.Program = proctest.Start(t, cmd)
	s.pid, s.events = s.PID(), proctest.NewEvents(s.Log, decode)
	return s
}

// unusedPort is one that nobody uses, for now.
func unusedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", ":0") // as the programs do
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// listenFile is a listening socket as a service manager passes it.
func listenFile(t *testing.T) *os.File {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

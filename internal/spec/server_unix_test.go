//go:build unix

package spec_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. Nothing that works comes near it.
const patience = 60 * time.Second

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
	t       *testing.T
	pid     int // of the current generation
	first   int // pid of generation 0, which leads the process group
	gen     int // the current generation's number
	address string
	state   string         // the directory that is its own
	exit    chan error     // generation 0's
	holding sync.WaitGroup // what hold has begun

	mu      sync.Mutex
	events  []event
	output  []string      // every line as it came
	changed chan struct{} // closed and made anew with each line, and at the end
	ended   bool          // no generation is left
}

// played are the programs that were started.
var played programSet

type programSet struct {
	mu    sync.Mutex
	names []string
}

func (s *programSet) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, name)
}

func (s *programSet) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.names, name)
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
	played.add(name)
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
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, address)
	cmd.Env = append(os.Environ(), programEnv+"="+name, variantEnv+"="+variant, siteEnv+"="+theSite().dir, stateEnv+"="+state)
	for _, e := range m.env {
		if wantsPort(e) {
			_, port, _ := net.SplitHostPort(freeAddress(t))
			e = strings.TrimSuffix(e, freePort) + port
		}
		cmd.Env = append(cmd.Env, e)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, w, w
	if m.fd {
		cmd.ExtraFiles = []*os.File{os.Stderr, listenFile(t)}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	stdin.Close()
	w.Close()
	if err != nil {
		r.Close()
		keep.Close()
		t.Fatal(err)
	}
	s := &server{
		t: t, pid: cmd.Process.Pid, first: cmd.Process.Pid, state: state,
		exit: make(chan error, 1), changed: make(chan struct{}),
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		s.read(bufio.NewScanner(r))
	}()
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		s.exit <- cmd.Wait()
	}()
	t.Cleanup(func() {
		s.mu.Lock()
		ended := s.ended
		s.mu.Unlock()
		if !ended {
			// The group has members, so its number is nobody else's.
			_ = syscall.Kill(-s.first, syscall.SIGKILL)
		}
		keep.Close()
		<-read
		<-waited
		s.holding.Wait()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, strings.Join(s.output, "\n"))
		}
	})
	return s
}

// freeAddress is an address that nobody listens on, for now.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
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

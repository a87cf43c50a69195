//go:build unix

package spec_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

const patience = proctest.Patience

// event is a line that a generation has logged.
type event struct {
	Msg        string
	PID        int `json:"own_pid"`
	Generation int
	Address    string // of "listening"
	Error      string
	State      string // of "state", see logStates
	Status     int    // of "state"
	New        int    // of "forked"
	Left       int    // of "drain timeout"
	Ledger     struct {
		Cut  int `json:"cut_requests"`
		Idle int `json:"closed_idle"`
	} // of "generation ended"
}

// decode takes in a line that a generation has written.
func decode(line string) (e event, ok bool) {
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		e = event{Msg: "unexpected output", Error: line} // a panic, a data race
	}
	return e, true
}

// server is a running program in all its generations.
type server struct {
	*proctest.Program
	t       *testing.T
	kind    kind
	pid     int // of the current generation
	gen     int // the current generation's number
	address string
	state   string // the directory that is its own
	events  *proctest.Events[event]
	clients []*http.Client // that keep their connections
	holding sync.WaitGroup // what hold has begun
}

// start starts the program and returns when it is current.
func start(t *testing.T, m method, variant string) *server {
	t.Helper()
	s := launch(t, m, variant, "")
	s.address = dialable(s.await("to listen", func(e event) bool { return e.Msg == "listening" }).Address)
	s.await("to be current", func(e event) bool { return e.Msg == "current" })
	return s
}

// dialable is an address at which a server answers that listens on address.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// launch starts the program and does not wait. An empty address is one that is free.
func launch(t *testing.T, m method, variant, address string) *server {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	state, err := os.MkdirTemp(theSite().dir, "")
	must(t, err)
	switch {
	case address != "":
	case m.kind.network == "unix":
		address = filepath.Join(state, "sock")
	case m.env != nil:
		address = proctest.FreeAddr(t)
	default:
		address = "127.0.0.1:0"
	}
	cmd := exec.Command(exe, address)
	cmd.Env = append(os.Environ(),
		programEnv+"="+m.program, variantEnv+"="+variant, siteEnv+"="+theSite().dir, stateEnv+"="+state)
	host, port, _ := net.SplitHostPort(address)
	for _, e := range m.env {
		cmd.Env = append(cmd.Env, strings.NewReplacer("$host", host, "$port", port).Replace(e))
	}
	if m.fd { // as a service manager passes a listening socket
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		must(t, err)
		t.Cleanup(func() { f.Close() })
		cmd.ExtraFiles = []*os.File{os.Stderr, f}
	}
	s := &server{t: t, kind: m.kind, state: state}
	t.Cleanup(s.holding.Wait) // behind the end of the program
	s.Program = proctest.Start(t, cmd)
	s.pid, s.events = s.PID(), proctest.NewEvents(s.Log, decode)
	return s
}

// await returns the first event that matches, of those that came already too.
func (s *server) await(what string, match func(event) bool) (first event) {
	s.t.Helper()
	s.Await(fmt.Sprintf("generation %d %s", s.gen, what), func() bool {
		found := s.events.Where(match)
		if len(found) > 0 {
			first = found[0]
		}
		return len(found) > 0
	})
	return first
}

// awaitFrom is await for what one generation logs.
func (s *server) awaitFrom(gen int, msg string) event {
	s.t.Helper()
	return s.await("to log "+msg, func(e event) bool { return e.Msg == msg && e.Generation == gen })
}

// awaitHere is awaitFrom for the current generation.
func (s *server) awaitHere(msg string) event {
	s.t.Helper()
	return s.awaitFrom(s.gen, msg)
}

// last returns the last event of its kind so far, or none.
func (s *server) last(msg string) event {
	if found := s.logged(msg); len(found) > 0 {
		return found[len(found)-1]
	}
	return event{}
}

// logged returns all events of a kind so far.
func (s *server) logged(msg string) []event {
	return s.events.Where(func(e event) bool { return e.Msg == msg })
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	s.Signal(s.pid, sig)
}

// upgrade returns when the next generation is current. The server that it returns is the old one.
func (s *server) upgrade(sig syscall.Signal) (old *server) {
	s.t.Helper()
	old = &server{t: s.t, kind: s.kind, pid: s.pid, gen: s.gen, address: s.address}
	s.signal(sig)
	s.gen++
	s.pid = s.awaitHere("current").PID
	return old
}

// leave closes the connections of the clients, which must be idle.
func (s *server) leave() {
	for _, c := range s.clients {
		c.CloseIdleConnections()
	}
}

// terminate lets the clients leave and stops the current generation.
func (s *server) terminate() {
	s.t.Helper()
	s.leave()
	s.signal(syscall.SIGTERM)
}

// stop stops the current generation and checks that every one has ended well.
func (s *server) stop() {
	s.t.Helper()
	s.terminate()
	s.end()
}

// end lets the clients leave, waits for the end of every generation, and checks that each was a good one.
func (s *server) end() {
	s.t.Helper()
	s.leave()
	s.endsWell()
	returned := 0
	for _, e := range s.events.All() {
		switch e.Msg {
		case "returned":
			returned++
			if e.Error != "" {
				s.t.Errorf("generation %d returned %s", e.Generation, e.Error)
			}
		case "generation ended":
			if e.Ledger.Cut != 0 {
				s.t.Errorf("generation %d cut %d requests", e.Generation, e.Ledger.Cut)
			}
		case "unexpected output":
			s.t.Error(e.Error)
		}
	}
	if returned != s.gen+1 {
		s.t.Errorf("%d of %d generations returned", returned, s.gen+1)
	}
}

// endsWell waits until no generation is left, and checks how generation 0 ended.
func (s *server) endsWell() {
	s.t.Helper()
	if status := s.AwaitEnd(); status != 0 {
		s.t.Errorf("generation 0 ended with status %d", status)
	}
}

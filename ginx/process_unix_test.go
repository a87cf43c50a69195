//go:build unix

package ginx_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
)

// programEnv names the program that the test binary plays. A process has one
// Upgrader, so each server under test is a process, and its next generations are
// too: they start with the same environment.
const programEnv = "GINX_TEST_PROGRAM"

// program is one that the test binary can play. It logs to standard error, one
// JSON object a line, and the test reads along: nothing waits by the clock.
type program struct {
	main func(log *slog.Logger, opts []core.Option, args []string) error
	used atomic.Bool
}

func TestMain(m *testing.M) {
	if name := os.Getenv(programEnv); name != "" {
		os.Exit(play(name))
	}
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup. What is caught here has its default action in the programs.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	code := m.Run()
	for name, p := range programs {
		if code == 0 && !partial() && !p.used.Load() {
			fmt.Fprintf(os.Stderr, "no test used the program %q\n", name)
			code = 1
		}
	}
	os.Exit(code)
}

// partial reports whether only some tests were asked for.
func partial() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return false
}

func play(name string) int {
	go func() {
		// Its end is the end of the test, however that came about.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	gin.SetMode(gin.ReleaseMode)
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts := []core.Option{core.WithLogger(log), core.WithDrainTimeout(20 * time.Second)}
	err := programs[name].main(log, opts, os.Args[1:])
	log = log.With("generation", core.Generation(), "pid", os.Getpid())
	if err != nil {
		log.Error("returned", "error", err)
		return 1
	}
	log.Info("returned")
	return 0
}

// event is a line that a generation has logged.
type event struct {
	Msg        string
	PID        int
	Generation int
	Address    string // of "listening"
	Error      string
	State      string // of "state", see the program readiness
	Status     int    // of "state"
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
	exit    chan error // generation 0's

	mu      sync.Mutex
	events  []event
	output  []string      // every line as it came
	changed chan struct{} // closed and made anew with each line, and at the end
	ended   bool          // no generation is left
}

// patience bounds every wait. Nothing that works comes near it.
const patience = 60 * time.Second

// start starts the program and returns when it is current. files are its
// descriptors from 3 up.
func start(t *testing.T, name string, args []string, files ...*os.File) *server {
	t.Helper()
	s := launch(t, name, args, files...)
	s.address = s.await("to listen", func(e event) bool { return e.Msg == "listening" }).Address
	s.await("to be current", func(e event) bool { return e.Msg == "current" })
	return s
}

// launch starts the program and does not wait.
func launch(t *testing.T, name string, args []string, files ...*os.File) *server {
	t.Helper()
	p := programs[name]
	if p == nil {
		t.Fatalf("there is no program %q", name)
	}
	p.used.Store(true)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), programEnv+"="+name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = stdin, w, w, files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	stdin.Close()
	w.Close()
	if err != nil {
		r.Close()
		keep.Close()
		t.Fatal(err)
	}
	s := &server{t: t, pid: cmd.Process.Pid, first: cmd.Process.Pid, exit: make(chan error, 1), changed: make(chan struct{})}
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
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, strings.Join(s.output, "\n"))
		}
	})
	return s
}

// read takes in what the generations write, until the last one has ended.
func (s *server) read(lines *bufio.Scanner) {
	for more := true; more; {
		more = lines.Scan()
		s.mu.Lock()
		if more {
			var e event
			s.output = append(s.output, lines.Text())
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				e = event{Msg: "unexpected output", Error: lines.Text()} // a panic, a data race
			}
			s.events = append(s.events, e)
		}
		s.ended = !more
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// await returns the first event that matches, of those that came already too.
func (s *server) await(what string, match func(event) bool) event {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		for _, e := range s.events {
			if match(e) {
				s.mu.Unlock()
				return e
			}
		}
		ended, changed := s.ended, s.changed
		s.mu.Unlock()
		if ended {
			s.t.Fatalf("waiting for generation %d %s: the last process has ended", s.gen, what)
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("waiting for generation %d %s: nothing in %v", s.gen, what, patience)
		}
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.pid, sig); err != nil {
		s.t.Fatalf("signal %v to generation %d: %v", sig, s.gen, err)
	}
}

// upgrade returns when the next generation is current.
func (s *server) upgrade(sig syscall.Signal) {
	s.t.Helper()
	s.signal(sig)
	s.gen++
	s.pid = s.await("to be current", func(e event) bool { return e.Msg == "current" && e.Generation == s.gen }).PID
}

// stop stops the current generation and checks that every one has ended well.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.end()
}

// end waits for the end of every generation.
func (s *server) end() {
	s.t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		ended, changed := s.ended, s.changed
		s.mu.Unlock()
		if ended {
			break
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("a generation still runs after %v", patience)
		}
	}
	select {
	case err := <-s.exit:
		if err != nil {
			s.t.Errorf("generation 0 ended with %v", err)
		}
	case <-late:
		s.t.Fatal("generation 0 still runs")
	}
	returned := 0
	for _, e := range s.events {
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

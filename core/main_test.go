package core

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"testing"
	"time"
)

// programs are what this test binary plays when a test starts it as a process
// of its own: the real thing has real processes, signals and sockets.
var programs = map[string]func(){}

// envProgram selects one.
const envProgram = "CORE_TEST_PROGRAM"

// atEnd runs when all tests have.
var (
	atEndMu sync.Mutex
	atEnd   []func()
)

// used notes which programs the tests started: one that none did is dead code.
var used = newSet()

func TestMain(m *testing.M) {
	if name := os.Getenv(envProgram); name != "" {
		play, ok := programs[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "no test program %q\n", name)
			os.Exit(2)
		}
		go dieWithTest()
		play()
		os.Exit(0)
	}
	flag.Parse()
	// Most tests wait for processes; the cores are free meanwhile.
	_ = flag.Set("test.parallel", "8")
	resetHangup()
	// The apps here are none that the command's tests may find.
	run, err := os.MkdirTemp("", "gxr")
	if err == nil {
		err = os.Setenv("XDG_RUNTIME_DIR", run)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	atEnd = append(atEnd, func() { _ = os.RemoveAll(run) })
	before := runtime.NumGoroutine()
	code := m.Run()
	for _, f := range atEnd {
		f()
	}
	fuzzing := flag.Lookup("test.fuzz").Value.String() != "" // which has goroutines of its own
	if code == 0 && !fuzzing && !settles(before) {
		code = 1
	}
	if code == 0 && !partial() {
		for name := range programs {
			if !used.has(name) {
				fmt.Fprintf(os.Stderr, "test program %q was not used by any test\n", name)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// settles reports whether no more goroutines are left than there were.
func settles(before int) bool {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "%d goroutines are left, %d were there before:\n", runtime.NumGoroutine(), before)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
			return false
		}
	}
	return true
}

// dieWithTest ends a process whose test is gone: they all share the test's end
// of a pipe as their stdin.
func dieWithTest() {
	if fi, err := os.Stdin.Stat(); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		return // started by a program that does not pass stdin on
	}
	var b [1]byte
	for {
		if n, err := os.Stdin.Read(b[:]); n == 0 || err != nil {
			os.Exit(3)
		}
	}
}

// set is a set of names that goroutines share.
type set struct {
	mu sync.Mutex
	m  map[string]bool
}

func newSet() *set { return &set{m: map[string]bool{}} }

func (s *set) add(k string) { s.mu.Lock(); defer s.mu.Unlock(); s.m[k] = true }

func (s *set) has(k string) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.m[k] }

// partial reports whether only some tests were asked for.
func partial() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return testing.Short()
}

// patience bounds every wait of a test for something that another goroutine or
// process does. Nothing is ever expected to take that long.
const patience = 60 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// event is a line that a program prints for its test.
type event struct {
	Event   string   `json:"event"`
	PID     int      `json:"pid"`
	Gen     int      `json:"gen"`
	Addrs   []string `json:"addrs,omitempty"`
	Release string   `json:"release,omitempty"`
	Args    []string `json:"args,omitempty"`
	Env     string   `json:"env,omitempty"`
	Dir     string   `json:"dir,omitempty"`
	Err     string   `json:"err,omitempty"`
}

// emit prints one in a single write, so that the lines of two generations do not
// mix.
func emit(ev event) {
	ev.PID = os.Getpid()
	b, err := json.Marshal(ev)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.Write(append(b, '\n'))
}

package core_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
)

// programs are what this test binary plays when a test starts it as a process
// of its own: the real thing has real processes, signals and sockets.
var programs = map[string]func(){}

// envProgram selects one.
const envProgram = "CORE_TEST_PROGRAM"

func TestMain(m *testing.M) {
	proctest.Play(envProgram, func(name string) int {
		play, ok := programs[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "no test program %q\n", name)
			return 2
		}
		play()
		return 0
	})
	proctest.Parallel(16)
	// The apps here are none that the command's tests may find.
	run, err := os.MkdirTemp("", "gxr")
	if err == nil {
		err = os.Setenv("XDG_RUNTIME_DIR", run)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	listening := make(chan os.Signal, 1)
	signal.Notify(listening, os.Interrupt) // the goroutine of os/signal does not end
	signal.Stop(listening)
	before := runtime.NumGoroutine()
	var names []string
	if !testing.Short() {
		names = slices.Collect(maps.Keys(programs))
	}
	code := proctest.Main(m, names...)
	_ = os.RemoveAll(run)
	fuzzing := flag.Lookup("test.fuzz").Value.String() != "" // which has goroutines of its own
	if code == 0 && !fuzzing && !settles(before) {
		code = 1
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

// patience bounds every wait of a test. Nothing is ever expected to take that long.
const patience = proctest.Patience

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectText checks that the text holds all parts.
func expectText(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

// expectError checks that there is an error, which holds all parts.
func expectError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	expectText(t, err.Error(), parts...)
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

	Upgrading bool `json:"upgrading,omitempty"` // before New
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

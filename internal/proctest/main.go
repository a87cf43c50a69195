package proctest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// played are the programs that this test binary plays and that were started.
var played struct {
	mu    sync.Mutex
	env   string
	names []string
}

// note notes the program that the environment selects.
func note(env []string) {
	played.mu.Lock()
	defer played.mu.Unlock()
	for _, kv := range slices.Backward(env) { // the last one counts
		if name, ok := strings.CutPrefix(kv, played.env+"="); ok && played.env != "" {
			played.names = append(played.names, name)
			return
		}
	}
}

// Play makes this process a program if the environment variable env names one. The process exits with the status
// that play returns, or when its standard input ends. Play is the first call in a TestMain.
func Play(env string, play func(name string) int) {
	if name := os.Getenv(env); name != "" {
		EndWithInput()
		os.Exit(play(name))
	}
	if os.Getenv(envApart) != "" {
		EndWithInput()
	}
	played.env = env
	procgroup.ResetHangup()
	if _, given := os.LookupEnv(modeEnv); !given {
		_ = os.Setenv(modeEnv, "self") // a test is a parent that waits, so by default the first process would stay
	}
}

// modeEnv is core.EnvMode, which a test sets for the programs that it starts.
const modeEnv = "GRACEX_MODE"

// Main runs the tests and returns the exit status. It is an error if no test has started one of the programs to
// play, unless only some tests were asked for.
func Main(m *testing.M, toPlay ...string) int {
	dir, err := os.MkdirTemp("", "gxb")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	built.dir, built.paths = dir, map[string]string{}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code != 0 || partial() {
		return code
	}
	for _, name := range toPlay {
		if !slices.Contains(played.names, name) {
			fmt.Fprintf(os.Stderr, "no test has started the program %q\n", name)
			code = 1
		}
	}
	return code
}

// EndWithInput ends this process with its standard input if that is a pipe, as it is for what Start has started:
// no process outlives its test, however that ends.
func EndWithInput() {
	if fi, err := os.Stdin.Stat(); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		return // started by a program that does not pass it on
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
}

// partial reports whether only some tests were asked for. The flags have to be parsed.
func partial() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return false
}

// Parallel lets up to n tests run at a time, whatever the number of processors, because most of them wait for
// processes. It comes behind Play, because it parses the flags.
func Parallel(n int) {
	flag.Parse()
	_ = flag.Set("test.parallel", fmt.Sprint(n)) // it is there
}

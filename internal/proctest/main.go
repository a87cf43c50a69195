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
)

// programs is which of the programs that this test binary plays were started.
var programs playable

type playable struct {
	mu      sync.Mutex
	env     string
	started []string
}

// start notes the program that the environment selects.
func (p *playable) start(env []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kv := range slices.Backward(env) { // the last one counts
		if name, ok := strings.CutPrefix(kv, p.env+"="); ok && p.env != "" {
			p.started = append(p.started, name)
			return
		}
	}
}

// Main is what a TestMain does: it runs the tests and returns the exit status. If the environment variable env
// names a program, the test binary plays that instead, until its standard input ends. A program among names that
// no test has started is an error, unless only some tests were asked for.
func Main(m *testing.M, env string, play func(name string) int, names ...string) int {
	if name := os.Getenv(env); env != "" && name != "" {
		EndWithInput()
		return play(name)
	}
	programs.env = env
	allowBuild()
	code := m.Run()
	if err := removeBuilt(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code != 0 || Partial() {
		return code
	}
	for _, name := range names {
		if !slices.Contains(programs.started, name) {
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

// Partial reports whether only some tests were asked for. The flags have to be parsed.
func Partial() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz", "test.bench"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return true
		}
	}
	return testing.Short()
}

// Parallel has up to n tests run at a time, whatever the number of processors: most of them wait for processes.
func Parallel(n int) {
	flag.Parse()
	_ = flag.Set("test.parallel", fmt.Sprint(n)) // it is there
}

//go:build unix

package spec_test

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(programEnv); name != "" {
		os.Exit(play(name))
	}
	flag.Parse()
	// Most tests wait for processes; the cores are free meanwhile.
	_ = flag.Set("test.parallel", "8")
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup. What is caught here has its default action in the programs.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	code := m.Run()
	removeSite()
	for _, f := range frameworks {
		for _, m := range f.methods {
			if name := f.name + "/" + m.name; code == 0 && !partial() && !played.has(name) {
				fmt.Fprintf(os.Stderr, "no test used the program %q\n", name)
				code = 1
			}
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

//go:build unix

package exampletest

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// playEnv makes the test binary the example.
const playEnv = "GRACEX_EXAMPLE_TEST"

// Main is an example's TestMain. The test binary is the example itself when a test
// starts it as that, and so are the generations after it.
func Main(m *testing.M, main func()) {
	if os.Getenv(playEnv) != "" {
		go func() {
			// Its end is the end of the test, however that came about.
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		main()
		return
	}
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup. What is caught here has its default action in the example.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

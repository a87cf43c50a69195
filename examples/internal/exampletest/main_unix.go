//go:build unix

package exampletest

import (
	"os"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// playEnv makes the test binary the example.
const playEnv = "GRACEX_EXAMPLE_TEST"

// Main is an example's TestMain. The test binary is the example itself when a test
// starts it as that, and so are the generations after it.
func Main(m *testing.M, main func()) {
	proctest.Play(playEnv, func(string) int {
		main()
		return 0
	})
	os.Exit(proctest.Main(m))
}

package browser

import (
	"flag"
	"os"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// playEnv has this test binary play a program.
const playEnv = "GRACEX_TEST_PLAY"

// shots is where pictures of the page are kept, for who wants to look at them.
var shots = flag.String("shots", "", "keep the pictures of the page in this `directory`")

func TestMain(m *testing.M) {
	proctest.Play(playEnv, play)
	proctest.Parallel(2) // a browser has many threads
	os.Exit(proctest.Main(m, toPlay...))
}

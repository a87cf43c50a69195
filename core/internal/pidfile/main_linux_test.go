package pidfile

import (
	"fmt"
	"os"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// envProgram has this test binary play a process that puts a pid file at the path, and prints the error.
const envProgram = "PIDFILE_TEST_PATH"

func TestMain(m *testing.M) {
	proctest.Play(envProgram, func(path string) int {
		f, err := Prepare(path, os.Getpid())
		if err == nil {
			err = f.Commit()
		}
		fmt.Println("error:", err)
		return 0
	})
	os.Exit(proctest.Main(m))
}

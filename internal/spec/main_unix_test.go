//go:build unix

package spec_test

import (
	"os"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) {
	proctest.Play(programEnv, play)
	proctest.Parallel(8)
	var programs []string
	for _, m := range methods {
		programs = append(programs, m.program)
	}
	code := proctest.Main(m, programs...)
	os.RemoveAll(theSite().dir)
	os.Exit(code)
}

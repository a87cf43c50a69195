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
	for _, f := range frameworks {
		for _, m := range f.methods {
			programs = append(programs, f.name+"/"+m.name)
		}
	}
	code := proctest.Main(m, programs...)
	removeSite()
	os.Exit(code)
}

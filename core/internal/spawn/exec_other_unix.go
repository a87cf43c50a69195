//go:build unix && !linux

package spawn

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/owner"
)

// CanCheck reports whether a program can be looked at before it is executed: here none can be executed by descriptor.
const CanCheck = false

func execChecked(*os.File, string, []string, *syscall.ProcAttr) (pid int, err error) {
	return 0, owner.ErrUnsupported
}

func openProgram(string) (*os.File, error) { return nil, owner.ErrUnsupported }

func givesRights(*os.File) error { return owner.ErrUnsupported }

// RestoreName does nothing here.
func RestoreName() {}

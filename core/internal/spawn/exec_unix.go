//go:build unix

package spawn

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// Exec starts the program at path. It looks at the program first, if the launch wants that, and then executes the file
// that it has looked at.
//
// It uses syscall.ForkExec: exec.Cmd would take os.Files, and os.File.Fd clears O_NONBLOCK on the shared sockets.
func Exec(path string, l Launch, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	if !l.Trusted && !l.Raised {
		pid, err = forkExec(path, argv, attr)
		return pid, os.NewSyscallError("exec", err)
	}
	f, err := l.look(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return execChecked(f, path, argv, attr)
}

// forkExec is syscall.ForkExec, and waits a moment for a program that was just written. A process that was forked by
// its writer while it was open has it open, too, until it executes a program of its own (golang/go#22315).
func forkExec(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	for end := time.Now().Add(timing.Busy); ; time.Sleep(timing.BusyPoll) {
		pid, err = syscall.ForkExec(path, argv, attr)
		if !errors.Is(err, syscall.ETXTBSY) || time.Now().After(end) {
			return pid, err
		}
	}
}

// look opens the program at the path, and looks at what the launch wants of it.
func (l Launch) look(path string) (f *os.File, err error) {
	if l.Trusted {
		if err = l.lookAtLaunchPath(); err == nil {
			f, err = owner.Program(path)
		}
	} else {
		f, err = openProgram(path)
	}
	if err == nil && l.Raised {
		if err = givesRights(f); err != nil {
			_ = f.Close()
		}
	}
	return f, err
}

// lookAtLaunchPath looks at what leads to a release: nobody else may decide where that is. It need not lead to a program.
func (l Launch) lookAtLaunchPath() error {
	if l.file == "" {
		return nil
	}
	path, err := l.Path()
	if err != nil {
		return err
	}
	f, err := owner.Program(path)
	switch {
	case errors.As(err, new(*owner.Error)):
		return err
	case err == nil:
		_ = f.Close()
	}
	return nil
}

// isScript reports whether the open file is a script. Its interpreter opens it anew, by the path with which it is
// executed.
func isScript(f *os.File) bool {
	return program.Interpreter(procPath(int(f.Fd()))) != "" //nolint:forbidigo // it is a file, and nobody else has it
}

func procPath(s int) string { return fmt.Sprintf("/proc/self/fd/%d", s) }

//go:build unix

package spawn

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// startRelay starts argv with rc as its stdin and this process's stderr as its
// output, in a session of its own. It ends when nobody can write to rc any more.
func startRelay(rc syscall.RawConn, argv []string) error {
	var pid int
	var err error
	if berr := fd.Blocking(rc, func(s int) {
		fd.CloseOnExecFrom(fd.First)
		pid, err = syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
			Dir:   "/", // it holds no file system
			Env:   os.Environ(),
			Files: []uintptr{uintptr(s), fd.Stderr, fd.Stderr},
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
	}); berr != nil {
		return berr
	}
	if err != nil {
		return os.NewSyscallError("exec", err)
	}
	go func() {
		if p, err := os.FindProcess(pid); err == nil {
			_, _ = p.Wait()
		}
	}()
	return nil
}

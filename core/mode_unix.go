//go:build unix

package core

import (
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/supervise"
)

// becomeSupervisor replaces this process by the supervisor of its program. It returns only
// if that fails. The image is the same program, which finds out before its main.
func (st *startup) becomeSupervisor() error {
	self, err := os.Executable()
	if err == nil {
		if st.start != nil {
			for _, x := range st.start.Sockets {
				fd.KeepOnExec(x.FD)
			}
		}
		startTimers := supervise.StopTimers()
		err = syscall.Exec(self, st.commandLine(), st.superviseEnv())
		startTimers()
	}
	return fmt.Errorf("%sthe supervisor can't be started: %w", prefix, err)
}

// commandLine is that of the first start.
func (st *startup) commandLine() []string {
	if len(st.launch.Argv) == 0 {
		return os.Args
	}
	return st.launch.Argv
}

// beSupervisor supervises until the program has stopped, and does not return: this process
// is not the program. frozen is what it knows from before its execve, if it was, and files are the descriptors from
// then.
func beSupervisor(frozen string, files []int) {
	cfg := supervise.Config{
		Argv: os.Args, Own: true, HungUp: hungUpTerminal,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	var code int
	var err error
	if frozen == "" {
		code, err = supervise.Run(cfg)
	} else {
		code, err = supervise.Resume(cfg, frozen, files)
	}
	if err != nil {
		cfg.Log.Error("the supervisor ends", "error", err)
	}
	os.Exit(code) //nolint:forbidigo // this process is the supervisor and none of the program's
}

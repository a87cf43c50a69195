package core

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/foreign"
)

// Mode says whether this program runs under a supervisor of its own. The zero Mode is ModeSelf.
type Mode uint8

const (
	// ModeSelf means that the process upgrades itself. The process number changes with each
	// upgrade, and a service manager follows it by MAINPID or by the pid file.
	ModeSelf Mode = iota
	// ModeSupervised means that a small supervisor keeps one process number for life and runs the
	// program as its worker.
	ModeSupervised
)

// String returns "self" or "supervised", which are also values of EnvMode.
func (m Mode) String() string {
	if m == ModeSupervised {
		return "supervised"
	}
	return "self"
}

// EnvMode is the environment variable by which an operator chooses the mode. The values are
// "self", "supervised", and "auto", which decides as WithSupervision does. The variable takes
// precedence over the program's choice, and takes effect before main runs. A process that takes
// over from another program, as described in docs/migration, upgrades itself in every mode.
const EnvMode = "GRACEX_MODE"

// envSupervise marks a process that is to be the supervisor of this program.
const envSupervise = "GRACEX_SUPERVISE"

// WithSupervision runs the program under a supervisor where the process number must not change.
// These places are pid 1 (a container), supervisord (SUPERVISOR_ENABLED is set), and the
// foreground of a terminal. Elsewhere the process upgrades itself. It does so too where
// NOTIFY_SOCKET is set, because systemd follows MAINPID. EnvMode overrides the choice, and
// Status returns the result.
//
// WithSupervision acts when it is called, not when the option is applied. This process becomes
// the supervisor (by execve), in which no code of the program runs, and starts the program again
// as its worker. The worker repeats everything that main did before the call, so call
// WithSupervision first:
//
//	func main() {
//		supervised := core.WithSupervision()
//		db := openDatabase()
//		err := ginx.Run(router(db), ":8080", supervised)
//
// Package supervise describes the supervisor. On systems without fork WithSupervision does
// nothing.
func WithSupervision() Option {
	var err error
	if st := &boot; st.mode == "" && !st.graceful && st.link == nil && !st.start.Managed() && detectMode() == ModeSupervised {
		err = st.becomeSupervisor()
	}
	return func(c *config) { c.superviseErr = err }
}

// currentMode is the mode in which this process runs.
func (st *startup) currentMode() Mode {
	if st.link != nil {
		return ModeSupervised
	}
	return ModeSelf
}

// detectMode looks where this process runs.
func detectMode() Mode {
	switch {
	case os.Getenv("NOTIFY_SOCKET") != "":
		return ModeSelf
	case os.Getpid() == 1, os.Getenv("SUPERVISOR_ENABLED") != "", inForeground():
		return ModeSupervised
	}
	return ModeSelf
}

// takeMode reads EnvMode, and reports whether this process is to be the supervisor. One that
// replaces another program, or is a worker of one, can't be: that program waits for it.
func (st *startup) takeMode(start *foreign.Start) (supervisor bool) {
	_, supervisor = os.LookupEnv(envSupervise)
	_ = os.Unsetenv(envSupervise)
	st.mode = os.Getenv(EnvMode)
	switch st.mode {
	case "", ModeSelf.String():
	case ModeSupervised.String():
		supervisor = true
	case "auto":
		supervisor = supervisor || detectMode() == ModeSupervised
	default:
		st.modeErr = fmt.Errorf("%s%s=%q is not one of self, supervised and auto", prefix, EnvMode, st.mode)
	}
	return supervisor && !start.Managed()
}

// superviseEnv is the environment of the process that is to be the supervisor.
func (st *startup) superviseEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, envSupervise+"=") })
	if st.start != nil {
		env = append(env, st.start.Vars...)
	}
	return append(env, envSupervise+"=1")
}

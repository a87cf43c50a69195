package core

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/foreign"
)

// Mode says whether this program runs under a supervisor of its own. The zero Mode is
// ModeSelf.
type Mode uint8

const (
	// ModeSelf: the process upgrades itself, and its process number changes with that. A
	// service manager follows it by MAINPID, or by the pid file.
	ModeSelf Mode = iota
	// ModeSupervised: a small supervisor keeps one process number for life, and
	// the program runs as its worker.
	ModeSupervised
)

// String returns "self" or "supervised", which are also values of EnvMode.
func (m Mode) String() string {
	if m == ModeSupervised {
		return "supervised"
	}
	return "self"
}

// EnvMode is the environment variable by which an operator decides: "self",
// "supervised", or "auto" for what WithSupervision does. It comes before what the program
// says, and takes effect before main runs. A process that takes over from another program, as
// docs/migration says, upgrades itself whatever the mode.
const EnvMode = "GRACEX_MODE"

// envSupervise marks a process that is to be the supervisor of this program.
const envSupervise = "GRACEX_SUPERVISE"

// WithSupervision has the program run under a supervisor where the process number must
// not change: as pid 1 (a container), under supervisord (SUPERVISOR_ENABLED), and in the
// foreground of a terminal. Elsewhere, and where NOTIFY_SOCKET is set (systemd follows MAINPID), the process upgrades
// itself as ever. EnvMode overrides it. Which mode it is, CurrentMode says.
//
// It decides in the moment it is called: this process becomes the supervisor (execve), in which
// no code of the program runs, and starts the program anew as its worker. What main has done before is
// done again, so call it first:
//
//	func main() {
//		supervised := core.WithSupervision()
//		db := openDatabase()
//		err := ginx.Run(router(db), ":8080", supervised)
//
// Package supervise says what the supervisor does. On systems without fork it does nothing.
func WithSupervision() Option {
	var err error
	if boot.mode == "" && !boot.graceful && boot.link == nil && !boot.start.Managed() && detectMode() == ModeSupervised {
		err = becomeSupervisor()
	}
	return func(c *config) { c.superviseErr = err }
}

// CurrentMode returns how this process runs.
func CurrentMode() Mode {
	if boot.link != nil {
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
func superviseEnv() []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, envSupervise+"=") })
	if boot.start != nil {
		env = append(env, boot.start.Vars...)
	}
	return append(env, envSupervise+"=1")
}

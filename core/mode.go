package core

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Mode says whether one process number stands for the service for life. The zero Mode is ModeSelf.
type Mode uint8

const (
	// ModeSelf means that the process upgrades itself, and ends when it has drained. The process number changes
	// with each upgrade, and a service manager follows it by MAINPID or by the pid file.
	ModeSelf Mode = iota
	// ModeSupervised means that a supervisor keeps one process number for life. That is a process in which
	// no code of the program runs, or the first process of the service, which has upgraded and supervises the
	// next one.
	ModeSupervised
)

// String returns "self" or "supervised", which are also values of EnvMode.
func (m Mode) String() string {
	if m == ModeSupervised {
		return "supervised"
	}
	return "self"
}

// EnvMode is the environment variable by which an operator chooses the mode. It takes effect before main runs, and
// leaves the environment then: a program that this one starts is not meant.
//
// Left out or "auto", the process finds out at its first upgrade whether another process watches it, which is
// every process but one that systemd hears from (NOTIFY_SOCKET) and that is not pid 1, and one whose parent has
// ended. A process that is watched keeps its number: it supervises the next one, and the mode is ModeSupervised from
// then on.
//
// "supervised" is like a call of Supervise. "self" is ModeSelf always. An upgrade that would lose the service
// then is refused. A process that takes over from another program, as described in docs/migration, upgrades
// itself in every mode.
const EnvMode = wire.EnvMode

// envSupervise marks a process that is to be the supervisor of this program. The value is its number and what it knows
// from the time before its execve.
const envSupervise = wire.EnvSupervise

// toSupervise is the assignment by which this process is the supervisor after its execve.
func toSupervise(frozen string) string {
	return fmt.Sprintf("%s=%d:%s", envSupervise, os.Getpid(), frozen)
}

// lookSupervise reads envSupervise. A process that a package has started in a supervisor, before core was initialized,
// has the variable, too: it is not meant.
func lookSupervise() (frozen string, meant, given bool) {
	v, given := os.LookupEnv(envSupervise)
	pid, frozen, _ := strings.Cut(v, ":")
	return frozen, pid == strconv.Itoa(os.Getpid()), given
}

// Supervise runs the program under a supervisor from the first second on, so that its first crash is answered with
// another process, too. Call it first in main:
//
//	func main() {
//		core.Supervise()
//		db := openDatabase()
//		err := ginx.Run(router(db), ":8080")
//
// This process becomes the supervisor (by execve), in which no code of the program runs, and starts the program
// again as its worker. In the worker Supervise does nothing. It does nothing either if EnvMode is "self", in a
// process that an upgrade has started, and on systems without fork. If the supervisor can't be started, New
// returns the error.
//
// Package supervise describes the supervisor. Without this call a process that is watched supervises the next one
// from the first upgrade on.
func Supervise() {
	st := &boot
	if st.launch.Raised {
		st.superviseErr = errSuperviseRaised
		return
	}
	if st.modeErr == nil && st.err == nil && st.mode != ModeSelf.String() && !st.graceful && st.link == nil && st.start.Supervisable() {
		st.superviseErr = st.becomeSupervisor()
	}
}

// modeOf is the mode of a process with a line to a supervisor, or without.
func modeOf(link *peer.Link) Mode {
	if link != nil {
		return ModeSupervised
	}
	return ModeSelf
}

// takeMode reads EnvMode, and reports whether this process is to be the supervisor, and what it knows already.
// One that replaces another program, or is a worker of one, can't be: that program waits for it. Neither can one that
// has got sockets in such a way, and is not known to replace anything. One that knows something has been the supervisor
// before its execve, and what looks like a start by another program is a word of the program's own.
func (st *startup) takeMode(start *foreign.Start) (supervisor bool, frozen string) {
	frozen, supervisor, _ = lookSupervise()
	_ = os.Unsetenv(envSupervise)
	st.mode = os.Getenv(EnvMode)
	switch st.mode {
	case "", "auto", ModeSelf.String():
	case ModeSupervised.String():
		supervisor = true
	default:
		st.modeErr = fmt.Errorf("%s%s=%q is not one of auto, self and supervised", prefix, EnvMode, st.mode)
	}
	return supervisor && (frozen != "" || start.Supervisable()), frozen
}

// superviseEnv is the environment of the process that is to be the supervisor.
func (st *startup) superviseEnv() []string {
	env := slices.Clone(st.launch.Env)
	if st.start != nil {
		env = append(env, st.start.Vars...)
	}
	return append(env, toSupervise(""))
}

package core

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// startup is what this process was started with.
type startup struct {
	launch   spawn.Launch
	graceful bool            // an upgrade started this process, or somebody gave the flag by hand
	control  int             // the handover socket's descriptor; -1 for the plain protocol
	last     int             // one past the last listener's descriptor
	stderr   *spawn.Stderr   // nil: descriptor 2 is what it was in the old process
	oldPID   int             // of the old process; 0 without one, or by the plain protocol
	link     *peer.Link      // to the supervisor; nil without one
	kept     bool            // a supervisor started this process, with what it has kept
	welcome  wire.WelcomeMsg // ... which is named here
	mode     string          // EnvMode
	modeErr  error           // ... that is none

	superviseErr error // why Supervise has not done what it was called for

	err error

	start *foreign.Start // by a program that is none of gracex's; nil if it passed nothing
	plain *foreign.Start // by the plain protocol: the same in a process that an upgrade has started; nil without it

	hidden []string // "name=value", taken out of the environment by hide
	doubts []doubt  // to be logged
}

// startedAt is when this process began, nearly.
var startedAt = time.Now()

// boot is taken before main runs: the flag leaves os.Args before any flag
// package sees it, the private variable leaves the environment before user code
// can start a child, and the old process learns that this program speaks the
// protocol.
var boot = takeStartup().settled()

func takeStartup() startup {
	argv, graceful := cutGraceful(os.Args)
	os.Args = argv
	control, given := os.LookupEnv(wire.EnvHandover)
	_ = os.Unsetenv(wire.EnvHandover)
	supervised, worker := os.LookupEnv(wire.EnvLink)
	_ = os.Unsetenv(wire.EnvLink)
	takeCommand(graceful || given || worker)
	st := startup{
		graceful: graceful,
		control:  -1,
		last:     fd.First + 1,
	}
	if !graceful {
		if given {
			st.err = refuseWithoutFlag(control)
			st.graceful = st.err != nil
		}
		if worker && !st.graceful {
			st.takeLink(supervised)
		}
		if !st.graceful && st.link == nil && st.err == nil {
			st.first()
		}
	}
	st.launch = spawn.Launch{Argv: slices.Clone(os.Args), Env: os.Environ(), Umask: spawn.Umask()}
	st.launch.NameDir()
	if !graceful {
		return st
	}
	if !given {
		closeOnExec(st.last)
		return st
	}
	c, err := wire.ParseHandover(control)
	if err != nil {
		st.err = err
		return st
	}
	s := c.Descriptor
	err = fd.CheckStream(s)
	if c.PID != proc.StartedBy && (err != nil || !wire.IsWelcome(fd.Peek(s, 64))) {
		// It came through a program that knows nothing of it, and the descriptor
		// is not what it was.
		closeOnExec(st.last)
		return st
	}
	closeOnExec(s)
	st.last = s
	if err != nil {
		st.err = fmt.Errorf("%s=%q: %w", wire.EnvHandover, control, err)
		return st
	}
	fd.CloseOnExec(s)
	if c.Version != wire.Version {
		// The plain protocol then. The old process knows its own version.
		_ = fd.Close(s)
		return st
	}
	st.control, st.oldPID = s, c.PID
	if c.Umask >= 0 {
		spawn.SetUmask(c.Umask)
		st.launch.Umask = c.Umask
	}
	if st.stderr, err = spawn.TakeStderr(c); err != nil {
		st.err = err
		return st
	}
	if c.Link != 0 {
		if st.link, err = peer.NewLink(c.Link, c.Supervisor); err != nil {
			st.err = fmt.Errorf("%s: link: %w", wire.EnvHandover, err)
			return st
		}
	}
	if hello, err := wire.Append(nil, wire.Hello, wire.HelloMsg{PID: os.Getpid()}); err == nil {
		// An old process that is gone already is noticed by whoever reads from it.
		_ = fd.Write(s, hello)
	}
	return st
}

// first is for a process that is the first of its program on gracex: no upgrade and no supervisor
// has started it.
func (st *startup) first() {
	start, _ := foreign.Read(foreign.Here())
	// A supervisor needs what the environment says of sockets.
	if supervisor, frozen := st.takeMode(start); supervisor {
		beSupervisor(frozen)
	}
	st.start, st.err = foreign.Take()
}

// master is the foreign process that starts the next version; nil without one.
func (st *startup) master() *foreign.Master {
	if st.start == nil {
		return nil
	}
	return st.start.Master
}

// manager is how the service manager is told of the service; nil where a supervisor tells
// it, or none wants to know.
func (st *startup) manager(log *slog.Logger) *sdnotify.Service {
	if st.link != nil {
		return nil
	}
	return sdnotify.NewService(st.launch.Getenv, st.graceful, log)
}

// errNoFlag: an upgrade started this process, and a wrapper has lost the arguments.
var errNoFlag = errors.New(`started by an upgrade, but without its arguments; a wrapper script has to pass them on: exec ./app "$@"`)

// refuseWithoutFlag tells the old process, if it is the one that has started this one,
// that the flag is missing: this one would not take over, and might serve beside it.
func refuseWithoutFlag(control string) error {
	c, err := wire.ParseHandover(control)
	if err == nil {
		err = fd.CheckStream(c.Descriptor)
	}
	if ours := err == nil && c.PID == proc.StartedBy && c.Version == wire.Version; !ours {
		return nil
	}
	closeOnExec(c.Descriptor)
	words, _ := wire.Append(nil, wire.Hello, wire.HelloMsg{PID: os.Getpid()})
	words, _ = wire.Append(words, wire.Failed, wire.ReasonMsg{Reason: errNoFlag.Error()}) // neither can fail
	_ = fd.Write(c.Descriptor, words)
	_ = fd.Close(c.Descriptor)
	return errNoFlag
}

// closeOnExec keeps the inherited listeners from every other program that this
// process starts. A descriptor that is no listener may be the Go runtime's own.
func closeOnExec(last int) {
	for s := fd.First; s < last; s++ {
		if fd.CheckListener(s) == nil {
			fd.CloseOnExec(s)
		}
	}
}

// takeLink takes what a supervisor has started this process with. A value that came
// through a program which knows nothing of it is not for this one.
func (st *startup) takeLink(v string) {
	info, err := wire.ParseLink(v)
	if err != nil {
		st.err = err
		return
	}
	if info.Version != wire.Version || fd.CheckStream(info.Descriptor) != nil || !wire.IsWelcome(fd.Peek(info.Descriptor, 64)) {
		return
	}
	st.last = info.Descriptor
	closeOnExec(st.last)
	st.kept = true
	if st.link, err = peer.NewLink(info.Descriptor, info.PID); err != nil {
		st.err = fmt.Errorf("%s: %w", wire.EnvLink, err)
		return
	}
	if st.welcome, err = st.link.Welcome(); err != nil {
		st.err = fmt.Errorf("supervisor (pid %d): %w", st.link.PID(), err)
		return
	}
	st.link.Follow(func(wire.SignalMsg) bool { return false }, func() {}) // nobody is there yet who could take it
	go endWithSupervisor(st.link)
}

// endWithSupervisor ends a program that has not made an Upgrader, which would see to it, when its supervisor is
// gone: nobody knows of this process then.
func endWithSupervisor(link *peer.Link) {
	<-link.Gone
	if running.Load() == nil {
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			_ = p.Signal(syscall.SIGTERM)
		}
	}
}

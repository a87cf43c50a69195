package core

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	envErr   error           // why launch.Env is not the kernel's copy; nil if it is
	graceful bool            // an upgrade started this process, or somebody gave the flag by hand
	control  int             // the handover socket's descriptor; -1 for the plain protocol
	files    []int           // the listeners, and what else Welcome names
	passed   *spawn.Passed   // what came by a doorbell; nil without one
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

	doubts []doubt // to be logged
}

// startedAt is when this process began, nearly.
var startedAt = time.Now()

// boot is taken before main runs: the flag leaves os.Args, the private variables
// leave the environment, and the old process learns that this program speaks the
// protocol. Packages that are initialized before this one have run by then.
var boot = takeStartup().settled()

// takeStartup takes it in the order in which one thing depends on another: what is said, whether that is believed, who
// has said it, how the next process is started, and the old process's handover.
func takeStartup() startup {
	spawn.RestoreName()
	st := startup{control: -1, files: []int{fd.First}}
	t := takeTold()
	raised := hasMoreRights()
	if raised {
		st.err = t.doubt()
	} else {
		st.err = t.answer()
	}
	st.passed = t.passed
	st.takeFlag(t)
	takeCommand(st.graceful || t.given || t.worker || st.err != nil)
	if !st.graceful && st.err == nil {
		st.takeWithoutFlag(t, raised)
	}
	st.takeLaunch(raised)
	if st.graceful && st.err == nil {
		st.takeHandover(t.handover, t.given)
	}
	return st
}

// takeFlag takes the flag out of the arguments, and finds out whether an upgrade has started this process.
func (st *startup) takeFlag(t told) {
	flagless := t.passed != nil || t.given && isFlagless(t.handover)
	st.launch.Argv = spawn.StartArgs()
	if st.err != nil || t.believed && !flagless && (t.given || fd.CheckListener(fd.First) == nil) {
		// An old process that is not on gracex sets no variable, and passes a listener as descriptor 3. Without that the
		// word is the program's own, and stays.
		st.launch.Argv, st.graceful = spawn.CutGraceful(st.launch.Argv)
		os.Args, _ = spawn.CutGraceful(os.Args)
	}
	st.graceful = st.graceful || t.given && flagless
}

// takeWithoutFlag takes what a process without the flag has been started with: by a supervisor, by another program, or
// by an upgrade whose flag is lost.
func (st *startup) takeWithoutFlag(t told, raised bool) {
	if t.given {
		if st.err = refuseWithoutFlag(t.handover); st.err != nil {
			st.graceful = true
			return
		}
	}
	if t.worker {
		st.takeLink(t.link)
	}
	if !raised && st.link == nil && st.err == nil {
		st.first()
	}
}

// takeLaunch takes how the next process is to be started. The arguments are known already.
func (st *startup) takeLaunch(raised bool) {
	st.launch.Umask = spawn.Umask()
	st.launch.Env, st.envErr = spawn.StartEnv(st.taken()...)
	if raised {
		st.raise()
	}
	st.launch.NameDir()
	if st.passed != nil && filepath.IsAbs(string(st.passed.Dir)) {
		st.launch.Dir = string(st.passed.Dir)
	}
}

// takeHandover takes what an old process has started this one with: v is the value of wire.EnvHandover. A program that
// speaks only the plain protocol gives none.
func (st *startup) takeHandover(v string, given bool) {
	if !given {
		closeOnExec(fd.First + 1)
		return
	}
	c, err := wire.ParseHandover(v)
	if err != nil {
		st.err = err
		return
	}
	if st.passed == nil {
		err = fd.CheckStream(c.Descriptor)
		if c.PID != proc.StartedBy && (err != nil || !wire.IsWelcome(fd.Peek(c.Descriptor, 64))) {
			// It came through a program that knows nothing of it, and the descriptor
			// is not what it was.
			closeOnExec(fd.First + 1)
			return
		}
		closeOnExec(c.Descriptor)
	} else if !st.passed.Has(c.Last()) {
		err = fmt.Errorf("it names descriptor %d, and %d have come", c.Last(), len(st.passed.List))
	}
	if err != nil {
		st.err = fmt.Errorf("%s=%q: %w", wire.EnvHandover, v, err)
		return
	}
	st.files = st.descriptors(fd.First, c.Descriptor)
	c = c.Map(st.descriptor)
	fd.CloseOnExec(c.Descriptor)
	if c.Version != wire.Version {
		// The plain protocol then. The old process knows its own version.
		_ = fd.Close(c.Descriptor)
		return
	}
	st.control, st.oldPID = c.Descriptor, c.PID
	if c.Umask >= 0 {
		spawn.SetUmask(c.Umask)
		st.launch.Umask = c.Umask
	}
	if st.stderr, st.err = spawn.TakeStderr(c); st.err != nil {
		return
	}
	if c.Link != 0 {
		if st.link, err = peer.NewLink(c.Link, c.Supervisor); err != nil {
			st.err = fmt.Errorf("%s: link: %w", wire.EnvHandover, err)
			return
		}
		st.link.Only = st.launch.Raised
	}
	if hello, err := wire.Append(nil, wire.Hello, wire.HelloMsg{PID: os.Getpid()}); err == nil {
		// An old process that is gone already is noticed by whoever reads from it.
		_ = fd.WriteAll(c.Descriptor, hello)
	}
}

// descriptor is this process's number of the descriptor that is n to the process which has passed it.
func (st *startup) descriptor(n int) int {
	if st.passed != nil {
		return st.passed.At(n)
	}
	return n
}

// descriptors are those of from up to, but not with, to.
func (st *startup) descriptors(from, to int) (all []int) {
	for n := from; n < to; n++ {
		all = append(all, st.descriptor(n))
	}
	return all
}

// taken are the names of the variables that were for this process alone, and have left its environment.
func (st *startup) taken() (names []string) {
	names = append(names, EnvCommand)
	if st.start != nil {
		for _, v := range st.start.Vars {
			name, _, _ := strings.Cut(v, "=")
			names = append(names, name)
		}
	}
	return names
}

// first is for a process that is the first of its program on gracex: no upgrade and no supervisor
// has started it.
func (st *startup) first() {
	start, _ := foreign.Read(foreign.Here())
	// A supervisor needs what the environment says of sockets.
	if supervisor, frozen := st.takeMode(start); supervisor {
		var files []int
		if st.passed != nil {
			files = st.passed.List
		}
		beSupervisor(frozen, files)
	}
	given := len(os.Args)
	if st.start, st.err = foreign.Take(); len(os.Args) != given {
		st.launch.Argv = slices.Clone(os.Args) // a flag of that program's was among them
	}
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
	sayFailed(c.Descriptor, errNoFlag)
	return errNoFlag
}

// sayFailed tells an old process on the handover socket s why this one does not take over.
func sayFailed(s int, why error) {
	words, _ := wire.Append(nil, wire.Hello, wire.HelloMsg{PID: os.Getpid()})
	words, _ = wire.Append(words, wire.Failed, wire.Because(why.Error())) // neither can fail
	_ = fd.WriteAll(s, words)
	_ = fd.Close(s)
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
	switch {
	case info.Version != wire.Version:
		return
	case st.passed == nil:
		if fd.CheckStream(info.Descriptor) != nil || !wire.IsWelcome(fd.Peek(info.Descriptor, 64)) {
			return
		}
		closeOnExec(info.Descriptor)
	case !st.passed.Has(info.Descriptor):
		st.err = fmt.Errorf("%s=%q: %d descriptors have come", wire.EnvLink, v, len(st.passed.List))
		return
	}
	st.files = st.descriptors(fd.First, info.Descriptor)
	st.kept = true
	if st.link, err = peer.NewLink(st.descriptor(info.Descriptor), info.PID); err != nil {
		st.err = fmt.Errorf("%s: %w", wire.EnvLink, err)
		return
	}
	st.link.Only = hasMoreRights()
	if st.welcome, err = st.link.Welcome(); err == nil && st.link.Only {
		err = st.link.Prove()
	}
	if err != nil {
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

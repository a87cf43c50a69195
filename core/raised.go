package core

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// A program that is setuid, setgid or has file capabilities has more rights than its caller, who chooses the arguments,
// the environment, the working directory and the descriptors. docs/security.md says what is believed of them.

// callersPrefixes are of variables by which a caller would decide what a process with more rights does. What begins
// with one of these is taken out of the environment; so are the variables of foreign.Variables.
var callersPrefixes = []string{"GRACEX_", "EINHORN_", "LISTEN_", "LD_", "XDG_RUNTIME_DIR="}

// errFewerRights: see vouch.
var errFewerRights = errors.New("the process that has started this one has fewer rights, and this program does not believe it; " +
	"an upgrade of a setuid, setgid or setcap program needs an old process that has kept its rights")

// forgetCaller takes the caller's words out of the environment of a process that has more rights. handed reports
// whether an upgrade or a supervisor of this program has started it, and is believed. The error says why not.
func forgetCaller() (handed bool, err error) {
	s, from := -1, wire.EnvHandover // the one variable that can be believed
	if v, ok := os.LookupEnv(from); ok {
		if c, perr := wire.ParseHandover(v); perr == nil && c.PID == proc.StartedBy && c.Version == wire.Version {
			s = c.Descriptor
		}
	} else if v, ok := os.LookupEnv(wire.EnvLink); ok {
		from = wire.EnvLink
		if c, perr := wire.ParseLink(v); perr == nil && c.PID == proc.StartedBy && c.Version == wire.Version {
			s = c.Descriptor
		}
	}
	if s >= 0 {
		err = vouch(s, from == wire.EnvLink)
		handed = err == nil
	}
	if errors.Is(err, errFewerRights) {
		sayFailed(s, err)
	} else {
		err = nil // it is no word of an old process's
	}
	if !hearsService() {
		_ = os.Unsetenv(sdnotify.EnvSocket)
	}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		theirs := slices.Contains(foreign.Variables(), name) ||
			slices.ContainsFunc(callersPrefixes, func(p string) bool { return strings.HasPrefix(v, p) })
		if believed := handed && name == from; theirs && !believed {
			_ = os.Unsetenv(name)
		}
	}
	return handed, err
}

// vouch returns nil if the parent has made the pair of which s is one end, has all the rights of this process, and has
// said nothing but welcome on it so far.
//
// A caller with the same user could make a pair, fill it, and become this program itself by execve. Then it has the
// rights, but what it says from then on is the program's, which knows nothing of the pair. So the rights are looked at
// first, from here on the parent alone may speak, and this process serves after its next word only: that is commit, or
// on a link proved (peer.Link.Prove). A supervisor may have said more than welcome on a link.
func vouch(s int, link bool) error {
	if err := fd.CheckStream(s); err != nil {
		return err
	}
	maker, err := fd.Maker(s)
	switch {
	case err != nil:
		return err
	case maker.PID != proc.StartedBy || maker.UID != os.Geteuid() || !proc.HasRightsOfThis(maker.PID):
		return errFewerRights
	case !link && !wire.IsOnlyWelcome(fd.Peek(s, wire.MaxFrame+1)):
		return fmt.Errorf("%w: there is more or less than a welcome", wire.ErrGarbage)
	}
	return nil
}

// hearsService reports whether the service manager's socket is where only root and this user can put one.
func hearsService() bool {
	path := os.Getenv(sdnotify.EnvSocket)
	return filepath.IsAbs(path) && owner.Dir(filepath.Dir(path)) == nil
}

// hasOtherUser reports whether this process acts as another user or group than its caller.
func hasOtherUser() bool { return os.Geteuid() != os.Getuid() || os.Getegid() != os.Getgid() }

// errSuperviseRaised is what Supervise has to say.
var errSuperviseRaised = fmt.Errorf("%w: a setuid, setgid or setcap program can't be its own supervisor, which is told "+
	"by the environment what to do; leave core.Supervise out, and start the program by a service manager", ErrUnsupported)

// raise has the next process be started from the file of this one, whatever the caller has called it.
func (st *startup) raise() {
	st.launch.Raised = true
	var err error
	if st.launch.Program, err = os.Executable(); err != nil {
		st.err = fmt.Errorf("the file of this program is not known, and the caller's name for it is not believed; mount /proc: %w", err)
	}
}

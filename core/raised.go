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
var errFewerRights = errors.New("the process that has started this one has fewer rights, or /proc does not show which (hidepid), so this program does not believe it; " +
	"an upgrade of a setuid, setgid or setcap program needs an old process that has kept its rights")

// doubt is answer for a process that has more rights than its caller: what is said is believed only if an upgrade or
// a supervisor of this program says it. The caller's words leave the environment. The error says why an old process is
// not believed.
func (t *told) doubt() error {
	if info, err := wire.ParseDoorbell(t.bell); err == nil && info.PID == proc.StartedBy {
		_ = t.answer() // a caller's doorbell may have anything behind it
	}
	t.believed = false
	s, link := t.socket()
	err := vouch(s, link)
	switch {
	case err == nil:
		t.believed = true
		if !link { // the other variable is not of the same process, or is not looked at
			t.link, t.worker = "", false
		}
	case errors.Is(err, errFewerRights):
		t.forget(s)
		sayFailed(s, err)
	default: // it is no word of an old process's
		t.forget(-1)
		err = nil
	}
	for _, v := range os.Environ() {
		if isCallers(v) {
			name, _, _ := strings.Cut(v, "=")
			_ = os.Unsetenv(name)
		}
	}
	return err
}

// socket is the descriptor on which the process that has started this one speaks; -1 if it says none. link reports
// whether that is a supervisor's link.
func (t *told) socket() (s int, link bool) {
	s = -1
	if c, err := wire.ParseHandover(t.handover); t.given {
		if err == nil && c.PID == proc.StartedBy && c.Version == wire.Version {
			s = c.Descriptor
		}
	} else if c, err := wire.ParseLink(t.link); t.worker && err == nil && c.PID == proc.StartedBy && c.Version == wire.Version {
		s, link = c.Descriptor, true
	}
	switch {
	case s < 0 || t.passed == nil:
	case t.passed.Has(s):
		s = t.passed.At(s)
	default:
		s = -1
	}
	return s, link
}

// isCallers reports whether an assignment of the environment is a caller's word that a process with more rights does not
// believe.
func isCallers(assignment string) bool {
	name, _, _ := strings.Cut(assignment, "=")
	return name == sdnotify.EnvSocket && !hearsService() || slices.Contains(foreign.Variables(), name) ||
		slices.ContainsFunc(callersPrefixes, func(p string) bool { return strings.HasPrefix(assignment, p) })
}

// vouch returns nil if the parent has made the pair of which s is one end, has all the rights of this process, and has
// said nothing but welcome on it so far.
//
// A caller with the same user could make a pair, fill it, and become this program itself by execve. Then it has the
// rights, but what it says from then on is the program's, which knows nothing of the pair. So the rights are looked at
// first, from here on the parent alone may speak, and this process serves after its next word only: that is commit, or
// on a link proved (peer.Link.Prove). A supervisor may have said more than welcome on a link.
func vouch(s int, link bool) error {
	if s < 0 {
		return errors.New("nothing is said")
	}
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

// raise has the next process be started from the file of this one, whatever the caller has called it, and without the
// caller's words.
func (st *startup) raise() {
	st.launch.Raised = true
	st.launch.Env = slices.DeleteFunc(st.launch.Env, isCallers)
	var err error
	if st.launch.Program, err = os.Executable(); err != nil {
		st.err = fmt.Errorf("the file of this program is not known, and the caller's name for it is not believed; mount /proc: %w", err)
	}
}

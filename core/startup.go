package core

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// gracefulFlag is the first argument of a process that an upgrade started.
const gracefulFlag = "-graceful"

// EnvControl is the environment variable that tells a new process where its
// control socket is: "<protocol version>:<descriptor>:<process number of the
// old process>". The listeners are the descriptors from 3 up to it. It is removed
// before main runs, so that nothing this process starts sees it. A program that
// does not know it passes it on, descriptor and all.
const EnvControl = "GRACEX_CONTROL"

// startup is what this process was started with.
type startup struct {
	launch   launch
	graceful bool // an upgrade started this process, or somebody gave the flag by hand
	control  int  // the control socket's descriptor; -1 for the plain protocol
	last     int  // one past the last listener's descriptor
	err      error
}

// startedBy is the process that started this one, as of the first look: later
// looks could name another process that got the number.
var startedBy = os.Getppid()

// boot is taken before main runs: the flag leaves os.Args before any flag
// package sees it, the private variable leaves the environment before user code
// can start a child, and the old process learns that this program speaks the
// protocol.
var boot = takeStartup()

func takeStartup() startup {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	argv, graceful := cutGraceful(os.Args)
	os.Args = argv
	control, given := os.LookupEnv(EnvControl)
	_ = os.Unsetenv(EnvControl)
	st := startup{
		launch:   launch{dir: dir, argv: slices.Clone(argv), env: os.Environ()},
		graceful: graceful,
		control:  -1,
		last:     fd.First + 1,
	}
	if !graceful {
		return st
	}
	if !given {
		closeOnExec(fd.First, st.last)
		return st
	}
	c, err := parseControl(control)
	if err != nil {
		st.err = err
		return st
	}
	s := c.s
	err = fd.CheckStream(s)
	if c.pid != startedBy && (err != nil || !wire.IsWelcome(fd.Peek(s, 64))) {
		// It came through a program that knows nothing of it, and the descriptor
		// is not what it was.
		closeOnExec(fd.First, st.last)
		return st
	}
	closeOnExec(fd.First, s)
	st.last = s
	if err != nil {
		st.err = fmt.Errorf("%s=%q: %w", EnvControl, control, err)
		return st
	}
	fd.CloseOnExec(s)
	if c.version != wire.Version {
		// The plain protocol then. The old process knows its own version.
		_ = fd.Close(s)
		return st
	}
	st.control = s
	if hello, err := wire.Append(nil, wire.Hello, wire.HelloMsg{PID: os.Getpid()}); err == nil {
		// An old process that is gone already is noticed by whoever reads from it.
		_ = fd.Write(s, hello)
	}
	return st
}

// closeOnExec keeps the inherited listeners from every other program that this
// process starts. A descriptor that is no listener may be the Go runtime's own.
func closeOnExec(first, last int) {
	for s := first; s < last; s++ {
		if fd.CheckListener(s) == nil {
			fd.CloseOnExec(s)
		}
	}
}

// cutGraceful takes the flag out of a command line: only as the first argument,
// where the old process puts it, so that a program's own use of the word
// elsewhere stays its own.
func cutGraceful(args []string) ([]string, bool) {
	if len(args) < 2 || (args[1] != gracefulFlag && args[1] != "-"+gracefulFlag) {
		return args, false
	}
	return slices.Concat(args[:1], args[2:]), true
}

// controlInfo is what EnvControl says.
type controlInfo struct{ version, s, pid int }

func (c controlInfo) String() string { return fmt.Sprintf("%d:%d:%d", c.version, c.s, c.pid) }

// maxControl is far above any real number of listeners, and keeps the loop over
// them short.
const maxControl = 1 << 16

// parseControl reads the value of EnvControl.
func parseControl(v string) (controlInfo, error) {
	var n [3]int
	parts := strings.Split(v, ":")
	ok := len(parts) == len(n)
	for i := 0; ok && i < len(n); i++ {
		var err error
		n[i], err = strconv.Atoi(parts[i])
		ok = err == nil && n[i] > 0
	}
	c := controlInfo{version: n[0], s: n[1], pid: n[2]}
	if !ok || c.s < fd.First || c.s > maxControl {
		return controlInfo{}, fmt.Errorf("%s=%q is not <version>:<descriptor>:<pid>", EnvControl, v)
	}
	return c, nil
}

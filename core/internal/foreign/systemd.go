package foreign

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The variables of sd_listen_fds(3). LISTEN_PID is the process that the others are for.
const (
	envListenPID   = "LISTEN_PID"
	envListenFDs   = "LISTEN_FDS"
	envListenNames = "LISTEN_FDNAMES"
	envListenPIDFD = "LISTEN_PIDFDID" // the same process, by a number that is not used again
)

// systemd is a service manager that has opened sockets for this process. What is for another process is none
// of this one's, and no error: whoever it was for has passed its environment on.
var systemd = protocol{
	name:  "systemd",
	vars:  []string{envListenFDs, envListenPID, envListenNames, envListenPIDFD},
	shown: func(in Surroundings) bool { return in.Getenv(envListenPID) == strconv.Itoa(in.PID) },
	read:  readActivated,
}

// activator has opened sockets for whatever process it starts, without that one's number, as systemfd --no-pid does.
var activator = protocol{
	name:  "socket activation without LISTEN_PID",
	vars:  systemd.vars,
	shown: func(in Surroundings) bool { return in.has(envListenFDs) && !in.has(envListenPID) },
	read:  readActivated,
}

// readActivated reads the sockets that whoever has started this process has opened for it.
func readActivated(in Surroundings, s *Start) error {
	s.Owned = true
	n, err := number(in, envListenFDs, 0, maxSockets)
	if err != nil {
		return err
	}
	s.Sockets = fromFirst(n)
	names := in.Getenv(envListenNames)
	if names == "" {
		return nil
	}
	list := strings.Split(names, ":")
	if len(list) != n {
		return fmt.Errorf("%s=%q has %d names for %d descriptors (%s)", envListenNames, names, len(list), n, envListenFDs)
	}
	for i, name := range list {
		if name != "unknown" { // what systemd says for none
			s.Sockets[i].Name = name
		}
	}
	return nil
}

// replacesActivated reports whether this process was started by another version of its program, with listeners. A
// service manager, a wrapper script and a helper of the program have the same variables, and must not be taken for
// that.
func (in Surroundings) replacesActivated() bool {
	n, err := number(in, envListenFDs, 1, maxSockets)
	if err != nil {
		return false
	}
	for i := range n {
		if !in.Listens(first + i) {
			return false
		}
	}
	return in.Ancestor()
}

// IsActivation reports whether an environment variable is one of a service manager's that opens sockets.
func IsActivation(name string) bool { return slices.Contains(systemd.vars, name) }

// grace is github.com/facebookgo/grace: the variable of systemd without a process number, or with
// that of its first generation, which systemd has started. The old process is told by SIGTERM. The variable is not
// grace's own, so it counts only if the system shows that the old process is one.
var grace = protocol{
	name:  "grace",
	kinds: listeners,
	vars:  systemd.vars,
	shown: Surroundings.replacesActivated,
	read: func(in Surroundings, s *Start) error {
		n, err := number(in, envListenFDs, 0, maxSockets)
		if err != nil {
			return err
		}
		s.Sockets = fromFirst(n)
		s.Parent = &Parent{Obeys: true}
		return nil
	},
}

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
)

// systemd is a service manager that has opened sockets for this process. What is for another process is none
// of this one's, and no error: whoever it was for has passed its environment on.
var systemd = protocol{
	name:  "systemd",
	vars:  []string{envListenFDs, envListenPID, envListenNames},
	shown: func(in Surroundings) bool { return in.Getenv(envListenPID) == strconv.Itoa(in.PID) },
	read: func(in Surroundings, s *Start) error {
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
	},
}

// replacesActivated reports whether this process was started by another version of its program, with the
// listeners that systemd had given that. A wrapper script and a helper of the program leave the same variables
// behind, and must not be taken for that.
func (in Surroundings) replacesActivated() bool {
	n, err := number(in, envListenFDs, 1, maxSockets)
	if err != nil || !in.Ancestor() {
		return false
	}
	for i := range n {
		if !in.Listens(first + i) {
			return false
		}
	}
	return true
}

// IsActivation reports whether an environment variable is one of a service manager's that opens sockets.
func IsActivation(name string) bool { return slices.Contains(systemd.vars, name) }

// grace is github.com/facebookgo/grace: the variable of systemd without a process number, or with
// that of its first generation, which systemd has started. The old
// process is told by SIGTERM, unless it is pid 1, which has opened the sockets itself.
var grace = protocol{
	name:  "grace",
	kinds: listeners,
	vars:  []string{envListenFDs, envListenPID, envListenNames},
	shown: func(in Surroundings) bool {
		return in.has(envListenFDs) && (!in.has(envListenPID) || in.replacesActivated())
	},
	read: func(in Surroundings, s *Start) error {
		n, err := number(in, envListenFDs, 0, maxSockets)
		if err != nil {
			return err
		}
		s.Sockets = fromFirst(n)
		if in.Parent == 1 {
			s.Owned = true
			return nil
		}
		s.Parent = &Parent{Obeys: true}
		return nil
	},
}

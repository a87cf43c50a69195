// Package activation reads what a service manager that has opened sockets for a program
// starts it with: the protocol of sd_listen_fds(3).
package activation

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// The environment variables. LISTEN_PID is the process that the others are for.
const (
	EnvPID   = "LISTEN_PID"
	EnvFDs   = "LISTEN_FDS"
	EnvNames = "LISTEN_FDNAMES"
)

// First is the first descriptor (SD_LISTEN_FDS_START).
const First = 3

// maxSockets is far above any unit's number of sockets.
const maxSockets = 1 << 12

// Socket is one descriptor that was passed.
type Socket struct {
	FD   int
	Name string // FileDescriptorName= of its unit; "" if there is none

	Listens bool // it is a listening stream socket; by Take
}

// Parse reads the variables. What is for another process is none of this one's, and no
// error: whoever it was for has passed its environment on.
func Parse(getenv func(string) string, pid int) ([]Socket, error) {
	if getenv(EnvPID) != strconv.Itoa(pid) {
		return nil, nil
	}
	v := getenv(EnvFDs)
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("%s=%q is no number of descriptors from 0 to %d; it is set by a service manager and not to be given by hand", EnvFDs, v, maxSockets)
	}
	sockets := make([]Socket, n)
	for i := range sockets {
		sockets[i].FD = First + i
	}
	names := getenv(EnvNames)
	if names == "" {
		return sockets, nil
	}
	list := strings.Split(names, ":")
	if len(list) != n {
		return nil, fmt.Errorf("%s=%q has %d names for %d descriptors (%s)", EnvNames, names, len(list), n, EnvFDs)
	}
	for i, name := range list {
		if name != "unknown" { // what systemd says for none
			sockets[i].Name = name
		}
	}
	return sockets, nil
}

// Is reports whether an environment variable is one of these.
func Is(name string) bool { return name == EnvPID || name == EnvFDs || name == EnvNames }

// Take is Parse for this process, whose environment does not have the variables any more
// afterwards if they were for it; vars are what was taken out. The descriptors are set to
// close-on-exec. It is an error if one of them is no socket.
func Take() (sockets []Socket, vars []string, err error) {
	sockets, err = Parse(os.Getenv, os.Getpid())
	if sockets == nil && err == nil {
		return nil, nil, nil
	}
	for _, name := range []string{EnvPID, EnvFDs, EnvNames} {
		if v, ok := os.LookupEnv(name); ok {
			vars = append(vars, name+"="+v)
			_ = os.Unsetenv(name)
		}
	}
	for i, s := range sockets {
		if err := fd.CheckSocket(s.FD); err != nil {
			return nil, vars, fmt.Errorf("%s=%d: %w; the service manager has to pass sockets there, see Sockets= of the unit", EnvFDs, len(sockets), err)
		}
		fd.CloseOnExec(s.FD)
		sockets[i].Listens = fd.CheckListener(s.FD) == nil
	}
	return sockets, vars, err
}

package foreign

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

const (
	envCount      = "EINHORN_FD_COUNT"
	envFD         = "EINHORN_FD_" // and a number from 0
	envMaster     = "EINHORN_MASTER_PID"
	envSocketPath = "EINHORN_SOCK_PATH"
	envSocketFD   = "EINHORN_SOCK_FD"
)

// ackWait bounds telling einhorn's master.
const ackWait = 5 * time.Second

// einhorn is Stripe's: a master keeps the sockets, starts new workers, and sends SIGUSR2 to the old
// ones when those have said that they serve. Variables that are another process's, which has passed its
// environment on, are none of this one's.
var einhorn = protocol{
	name:  "einhorn",
	kinds: listeners,
	vars:  []string{envCount, envMaster, envSocketPath, envSocketFD, "EINHORN_FDS", "EINHORN_CHILD_INDEX"},
	shown: func(in Surroundings) bool {
		return in.has(envCount) && (!in.has(envMaster) || in.Getenv(envMaster) == strconv.Itoa(in.Parent))
	},
	read: func(in Surroundings, s *Start) error {
		s.Owned = true
		n, err := number(in, envCount, 0, maxSockets)
		if err != nil {
			return err
		}
		for i := range n {
			name := envFD + strconv.Itoa(i)
			s.Vars = append(s.Vars, name+"="+in.Getenv(name))
			d, err := number(in, name, 0, maxDescriptor)
			if err != nil {
				return err
			}
			if s.Has(d) {
				return fmt.Errorf("%s=%d is the descriptor of another one, too; %s", name, d, byHand)
			}
			s.Sockets = append(s.Sockets, Socket{FD: d})
		}
		command := -1
		if in.has(envSocketFD) {
			if command, err = number(in, envSocketFD, 0, maxDescriptor); err != nil {
				return err
			}
			if s.Has(command) {
				return fmt.Errorf("%s=%d is one of the listeners; %s", envSocketFD, command, byHand)
			}
			s.open = func() error {
				if err := fd.CheckStream(command); err != nil {
					return fmt.Errorf("%s=%d: %w; %s", envSocketFD, command, err, byHand)
				}
				fd.CloseOnExec(command)
				return nil
			}
		}
		path := in.Getenv(envSocketPath)
		s.Master = &Master{
			PID: in.Parent, Name: "einhorn", Remedy: "einhornsh -e upgrade", Retire: retire, Dismiss: syscall.SIGTERM,
			shown: s.keptBy(in.Parent, envCount),
			Ready: func() error { return acknowledge(path, command, in.PID) },
		}
		return nil
	},
}

// acknowledge tells einhorn's master that this process serves: a line on its command
// socket. One that does not wait for that (its -m is a number of seconds) does not mind.
func acknowledge(path string, command, pid int) error {
	line := fmt.Sprintf("{\"command\":\"worker:ack\", \"pid\":%d}\n", pid)
	var c net.Conn
	var err error
	switch {
	case command >= 0:
		c, err = fd.Conn(command)
	case path != "":
		c, err = net.DialTimeout("unix", path, ackWait)
	default:
		return nil
	}
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(ackWait))
		_, err = c.Write([]byte(line))
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return fmt.Errorf("einhorn's command socket: %w", os.NewSyscallError("ack", err))
	}
	return nil
}

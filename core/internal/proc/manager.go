package proc

import (
	"errors"
	"fmt"
)

// ServiceManager is what the environment of a process says of the service manager: see NOTIFY_SOCKET, SYSTEMD_EXEC_PID
// and MANAGERPID in systemd.exec(5). A process that the service starts for a purpose of its own has the same variables.
type ServiceManager struct {
	Socket  string // where it listens
	ExecPID string // the process that it has started; "" before systemd 248
	PID     string // of a manager that is not pid 1
}

// ManagerOf is the manager that listens on the socket, by the environment.
func ManagerOf(socket string, getenv func(string) string) ServiceManager {
	return ServiceManager{Socket: socket, ExecPID: getenv("SYSTEMD_EXEC_PID"), PID: getenv("MANAGERPID")}
}

// ErrNotMain means that this process is not the one that the service manager has started.
var ErrNotMain = errors.New("this process is a helper of the service: the service manager has not started it")

// notMain names the process that the service manager has started, if that is known.
func (m ServiceManager) notMain() error {
	started := ""
	if m.ExecPID != "" {
		started = fmt.Sprintf(", but process %s (SYSTEMD_EXEC_PID)", m.ExecPID)
	}
	return fmt.Errorf("%w%s; if this is the service itself, ExecStart= has to start it, or a script of sh has to", ErrNotMain, started)
}

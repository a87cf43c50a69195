package core

import (
	"os"

	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
)

// speaks reports why this process does not speak for the service to the service manager. What it said would be taken
// for the service's own word, and by MAINPID= it would become the main process, whose end is that of the service. So it
// says nothing at all unless the service manager has started it, or it descends from such a process by upgrades:
//
//   - An old process on gracex has started it. That is proved by the handover socket, and one that does not speak
//     itself does not pass the variables on.
//   - It replaces a process with another protocol, or is a worker of a foreign master, and the service manager has
//     started that.
//
// Under a supervisor, that speaks.
func (st *startup) speaks() error {
	socket := st.launch.Getenv(sdnotify.EnvSocket)
	if socket == "" || st.link != nil || st.control >= 0 {
		return nil
	}
	manager := proc.ManagerOf(socket, st.launch.Getenv)
	if start := st.foreignStart(); start != nil {
		switch p, m := start.Parent, start.Master; {
		case p != nil && p.Process != nil:
			return manager.Started(p.Process.Pid, true)
		case m != nil && m.Shown() == nil:
			return manager.Started(m.PID, false)
		}
	}
	return manager.Started(os.Getpid(), false)
}

// NotifySocket returns the service manager's socket for this process: the value of NOTIFY_SOCKET, which leaves the
// environment before main runs, so that a program which this one starts does not speak for the service. It is empty
// without a service manager, under a supervisor, and in a process that the service manager has not started and that
// is no new version of one either. It can be called at any time, before New too, and by any goroutine.
//
// Core says READY=1, STOPPING=1, RELOADING=1, MAINPID=, WATCHDOG=1 and STATUS=. A program needs it for anything else:
//
//	os.Setenv("NOTIFY_SOCKET", core.NotifySocket())
//	daemon.SdNotify(true, "FDSTORE=1") // of github.com/coreos/go-systemd; true takes the variable out again
func NotifySocket() string {
	if boot.link != nil {
		return ""
	}
	return boot.launch.Getenv(sdnotify.EnvSocket)
}

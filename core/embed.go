package core

import (
	"fmt"
	"os"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/supervise"
)

// A process that somebody watches must not end with its own drain: its end would be taken for the end of the
// service. So it supervises the service from its first upgrade on, at first from inside, as a worker of its own,
// and when it has drained by execve, with no code of the program left. docs/supervise.md tells of it.

// watched reports whether another process may take the end of this one for the end of the service. Only a process
// whose parent has ended is nobody's, and one of which systemd hears who has followed it: but a container, of which
// systemd hears as well, ends with its pid 1. There are too many parents that wait to know them by name. A process
// that is watched without need lives longer, and no more.
func (st *startup) watched() bool {
	followed := st.launch.Getenv(sdnotify.EnvSocket) != "" && os.Getpid() != 1
	return !st.graceful && st.link == nil && !st.start.Managed() && os.Getppid() == proc.StartedBy && !followed
}

// watcherNames are those of programs that end, or start the program anew, when the process that they have started ends.
var watcherNames = []string{"supervisord", "runsv", "s6-supervise", "supervise", "tini", "docker-init", "dumb-init", "catatonit"}

// losesService says why the service would be lost with this process in ModeSelf; "" if nothing is known that would lose
// it.
func (st *startup) losesService() string {
	parent := proc.Name(proc.StartedBy)
	for _, name := range watcherNames {
		if parent == name {
			return fmt.Sprintf("%s (pid %d) has started this process, and takes its end for the end of the service", name, proc.StartedBy)
		}
	}
	switch pid := fmt.Sprint(os.Getpid()); {
	case pid == "1":
		return "this process is pid 1, and a container ends with it"
	case proc.StartedBy == 0:
		return "this process was started from outside of its container, by a process that can wait for it"
	case st.launch.Getenv("SYSTEMD_EXEC_PID") == pid:
		return "systemd takes the end of this process for the end of the service; give the unit Type=notify and NotifyAccess=all"
	case st.launch.Getenv("SUPERVISOR_ENABLED") != "":
		return "supervisord takes the end of this process for the end of the service"
	}
	return ""
}

// embed begins to supervise the service, before its first upgrade, if somebody watches this process.
func (l *lifecycle) embed() error {
	st := l.u.boot
	if l.u.link() != nil || !st.watched() {
		return nil
	}
	if st.mode == ModeSelf.String() {
		if why := st.losesService(); why != "" {
			return fmt.Errorf("%w: %s; leave %s=%s out", ErrUnsupported, why, EnvMode, ModeSelf)
		}
		return nil
	}
	e, s, err := supervise.Embed(supervise.Config{
		Own: true, Signals: supervise.Signals(l.cfg.signals), More: l.cfg.hookedSignals(), Log: l.log,
	}, l.u.launch(), func() { l.u.post((*lifecycle).serviceStops) })
	if err != nil {
		return wrap("upgrade: this process can't supervise the next one", err)
	}
	link, err := peer.NewLink(s, os.Getpid())
	if err != nil {
		return wrap("upgrade: link to this process's own supervisor", err)
	}
	l.embedded = e
	l.u.linkTo(link)
	link.Follow(l.u.askedBySupervisor, l.u.othersReturned)
	l.setState(l.state())
	l.log.Info("this process is watched: it supervises the service from here on", "parent_pid", proc.StartedBy)
	l.u.keepListeners()
	return nil
}

// hearForService has all signals come here that a supervisor passes on, from the handover on: also those that the
// program handles itself, which are for the process that serves.
func (l *lifecycle) hearForService() {
	if l.signals == nil {
		l.signals = make(chan os.Signal, signalRoom)
	}
	l.embedded.Notify(l.signals)
}

// tellSupervisorOf has the supervisor inside this process know how a process that this one has started ends.
func (u *Upgrader) tellSupervisorOf(next *peer.Next) {
	u.post(func(l *lifecycle) {
		if e := l.embedded; e != nil {
			go func() {
				<-next.Exited
				e.Ended(next.PID(), next.Exit.Status)
			}()
		}
	})
}

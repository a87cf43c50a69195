package core

import (
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// sendBack tells the lifecycle, which waits for that, that a new process which may have
// been current has ended.
func (u *Upgrader) sendBack(gone *successor) { u.sentBack <- gone }

// restorePIDFile names this process in the pid file again, after a new one that is gone,
// which had written its own number there or removed the file with its end: it may have
// stood still when it was given up.
func (l *lifecycle) restorePIDFile(gone *successor) {
	if l.cfg.pidFile == "" || l.next != nil || l.State() > StateUpgrading {
		return
	}
	if pid, err := pidfile.Read(l.cfg.pidFile); err == nil && pid != gone.says && pid != gone.pid() {
		return // it is in order, or somebody else's
	}
	if err := pidfile.Write(l.cfg.pidFile, servicePID()); err != nil {
		l.log.Error("the pid file does not name this process", "error", err)
	}
}

// recall gives up a new process that was current, and returns when it has ended and was
// reaped. As long as it answers it has the time of a stop to finish what it accepted; this
// process does not wait for that when it has finished itself.
func (n *successor) recall(reason string, stop time.Duration, finished <-chan struct{}) {
	defer n.release()
	err := n.say(wire.Abort, wire.ReasonMsg{Reason: reason}, sayWait)
	told := err == nil && !isClosed(n.talk.silent)
	if !told {
		n.send(syscall.SIGTERM)
	}
	limit := time.NewTimer(max(stop, n.stop) + killGrace)
	defer limit.Stop()
	beat := time.NewTicker(sayWait)
	defer beat.Stop()
	for missed, pongs := time.Duration(0), n.talk.pongs.Load(); missed < killGrace; {
		select {
		case <-n.exited:
			return
		case <-limit.C:
			missed = killGrace
		case <-beat.C:
			switch now := n.talk.pongs.Load(); {
			case isClosed(n.talk.silent): // nothing but the limit tells
			case now == pongs:
				missed += sayWait
			case isClosed(finished):
				return
			default:
				pongs, missed = now, 0
			}
			_ = n.say(wire.Ping, nil, sayWait)
		}
	}
	n.send(syscall.SIGKILL)
	<-n.exited
}

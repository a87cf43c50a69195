package foreign

import (
	"fmt"
	"math"
)

const (
	envWorker    = "GRACEFUL_WORKER"
	envNumFD     = "GRACEFUL_NUMFD"
	envParentPID = "GRACEFUL_PARENT_PID"
	envOldWorker = "GRACEFUL_OLD_WORKER_PID"
)

// graceful is github.com/kuangchanglang/graceful: a master keeps the sockets and starts workers, of
// which the new one tells the old one to go. A worker ends with its master, and the master ends when it has no worker
// left that it has started itself.
var graceful = protocol{
	name:  "graceful",
	kinds: listeners,
	vars:  []string{envWorker, envNumFD, envParentPID, envOldWorker},
	shown: func(in Surroundings) bool { return in.has(envWorker) && in.has(envNumFD) },
	read: func(in Surroundings, s *Start) error {
		s.Owned = true
		if err := exactly(in, envWorker, "1"); err != nil {
			return err
		}
		n, err := number(in, envNumFD, 1, maxSockets)
		if err != nil {
			return err
		}
		s.Sockets = fromFirst(n)
		m := &Master{PID: in.Parent, Name: "graceful's master", Leads: true}
		if in.has(envParentPID) { // later versions
			if m.PID, err = number(in, envParentPID, 1, math.MaxInt32); err != nil {
				return err
			}
		}
		if in.has(envOldWorker) {
			if m.OldWorker, err = number(in, envOldWorker, 0, math.MaxInt32); err != nil {
				return err
			}
			if m.OldWorker == 1 || m.OldWorker == in.PID || m.OldWorker == m.PID {
				return fmt.Errorf("%s=%d is no old worker; %s", envOldWorker, m.OldWorker, byHand)
			}
		}
		m.Remedy = fmt.Sprintf("kill -HUP %d", m.PID)
		s.Master = m
		return nil
	},
}

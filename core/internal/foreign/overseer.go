package foreign

import "fmt"

const (
	envIsWorker    = "OVERSEER_IS_WORKER"
	envIsSlave     = "OVERSEER_IS_SLAVE" // before the name was changed; the later versions set both
	envOverseerFDs = "OVERSEER_NUM_FDS"
)

// overseer is github.com/jpillora/overseer: a master keeps the sockets, asks the worker to let go of them by
// SIGUSR2, and starts the next one when it says by SIGUSR1 that it has. A worker that ends without having
// been asked takes the master with it.
var overseer = protocol{
	name:  "overseer",
	kinds: listeners,
	vars: []string{
		envIsSlave, envIsWorker, envOverseerFDs, "OVERSEER_SLAVE_ID", "OVERSEER_WORKER_ID",
		"OVERSEER_BIN_ID", "OVERSEER_BIN_PATH", "OVERSEER_BIN_UPGRADE",
	},
	shown: func(in Surroundings) bool { return in.has(envIsSlave) || in.has(envIsWorker) },
	read: func(in Surroundings, s *Start) error {
		s.Owned = true
		s.Sign = envOverseerFDs
		for _, name := range []string{envIsSlave, envIsWorker} {
			if in.has(name) {
				if err := exactly(in, name, "1"); err != nil {
					return err
				}
			}
		}
		n, err := number(in, envOverseerFDs, 0, maxSockets)
		if err != nil {
			return err
		}
		s.Sockets = fromFirst(n)
		m := &Master{
			PID: in.Parent, Name: "overseer's master", Leads: true,
			Remedy: fmt.Sprintf("kill -USR2 %d", in.Parent), Retire: retire,
		}
		m.Released = func() error { return m.Signal(release) }
		s.Master = m
		return nil
	},
}

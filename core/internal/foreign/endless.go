package foreign

import (
	"fmt"
	"strings"
)

const (
	envEndless = "ENDLESS_CONTINUE"
	envOrder   = "ENDLESS_SOCKET_ORDER"
)

// endless is github.com/fvbock/endless: the sockets are in the order of the addresses that
// the old process listens on, as its program has written them.
var endless = protocol{
	name:  "endless",
	kinds: listeners,
	vars:  []string{envEndless, envOrder},
	shown: func(in Surroundings) bool { return in.has(envEndless) },
	read: func(in Surroundings, s *Start) error {
		if err := exactly(in, envEndless, "1"); err != nil {
			return err
		}
		s.Parent = &Parent{Obeys: true}
		if !in.has(envOrder) {
			s.Sockets = fromFirst(1)
			return nil
		}
		s.Sign = envOrder
		order := strings.Split(in.Getenv(envOrder), ",")
		if len(order) > maxSockets {
			return fmt.Errorf("%s has %d addresses, and %d is the most; %s", envOrder, len(order), maxSockets, byHand)
		}
		s.Sockets = fromFirst(len(order))
		for i, address := range order {
			if _, err := port(address); err != nil {
				return fmt.Errorf("%s=%q: %w; %s", envOrder, in.Getenv(envOrder), err, byHand)
			}
			s.Sockets[i].Network, s.Sockets[i].Address = "tcp", address
		}
		return nil
	},
}

const (
	envGracehttp   = "GRACEFUL"
	envIsGracehttp = "IS_GRACEFUL" // of some of its versions
)

// gracehttp is github.com/tabalt/gracehttp: one socket, and an old process that goes by itself. The
// names of its variables are ones that anybody might choose for something else, so they count only with a listener as
// descriptor 3.
var gracehttp = protocol{
	name:  "gracehttp",
	kinds: listeners,
	vars:  []string{envGracehttp, envIsGracehttp},
	shown: func(in Surroundings) bool {
		return (in.Getenv(envGracehttp) == "true" || in.Getenv(envIsGracehttp) == "1") && in.Listens(first)
	},
	read: func(in Surroundings, s *Start) error {
		s.Sockets = fromFirst(1)
		s.Parent = &Parent{}
		if in.Getenv(envIsGracehttp) == "1" {
			s.Sign = envIsGracehttp
		}
		return nil
	},
}

package foreign

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/wire"
)

const envStarter = "SERVER_STARTER_PORT"

// starter is Server::Starter's start_server: a master keeps the sockets, starts a new worker on
// SIGHUP and sends SIGTERM to the old ones a little later. A worker that ends by itself is replaced.
var starter = protocol{
	name:  "Server::Starter",
	kinds: []wire.Kind{wire.KindListener, wire.KindPacket},
	vars:  []string{envStarter, "SERVER_STARTER_GENERATION"},
	shown: func(in Surroundings) bool { return in.has(envStarter) },
	read: func(in Surroundings, s *Start) error {
		s.Owned = true
		s.Master = &Master{
			PID: in.Parent, Name: "start_server", Remedy: fmt.Sprintf("kill -HUP %d", in.Parent),
			Dismiss: syscall.SIGTERM, Unlinks: true, shown: s.keptBy(in.Parent, envStarter),
		}
		seen := map[int]bool{}
		for _, pair := range strings.Split(in.Getenv(envStarter), ";") {
			// A path may have the sign in it.
			i := strings.LastIndexByte(pair, '=')
			if i <= 0 {
				return badPair(in, pair)
			}
			n, err := strconv.Atoi(pair[i+1:])
			if err != nil || n < 0 || n > maxDescriptor || seen[n] {
				return badPair(in, pair)
			}
			seen[n] = true
			s.Sockets = append(s.Sockets, Socket{FD: n})
		}
		return nil
	},
}

func badPair(in Surroundings, pair string) error {
	return fmt.Errorf("%s=%q: %q is not host:port=descriptor or path=descriptor; %s", envStarter, in.Getenv(envStarter), pair, byHand)
}

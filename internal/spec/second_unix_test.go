//go:build unix

package spec_test

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
)

// Each adapter serves a second port by an option of core, and the port goes through upgrades.
func TestSecondPort(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "second port")
		s.expectThroughUpgrades(s.logged("listening")[1].Address)
	})
}

// Two calls of an adapter's run method, each in a goroutine, share the process and go through upgrades.
func TestTwoCalls(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "two calls")
		s.Await("the second call listens", func() bool { return len(s.logged("listening")) > 1 })
		s.expectThroughUpgrades(s.logged("listening")[0].Address, s.logged("listening")[1].Address)
	})
}

// expectThroughUpgrades asks at the addresses before and after two upgrades. The current process is to answer.
func (s *server) expectThroughUpgrades(addresses ...string) {
	s.t.Helper()
	for {
		want := load.Server{PID: strconv.Itoa(s.pid), Generation: strconv.Itoa(s.gen)}
		for _, address := range addresses {
			a, err := load.Ask(load.Config{Addr: dialable(address)}, "")
			must(s.t, err)
			if a.Server != want {
				s.t.Errorf("%+v answers at %s, want %+v", a.Server, address, want)
			}
		}
		if s.gen == 2 {
			break
		}
		s.upgrade(syscall.SIGUSR2)
	}
	s.stop()
}

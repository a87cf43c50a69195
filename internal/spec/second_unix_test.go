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
		address := s.logged("listening")[1].Address
		for {
			a, err := load.Ask(load.Config{Addr: address}, "")
			must(t, err)
			if want := (load.Server{PID: strconv.Itoa(s.pid), Generation: strconv.Itoa(s.gen)}); a.Server != want {
				t.Errorf("%+v answers at the second port, want %+v", a.Server, want)
			}
			if s.gen == 2 {
				break
			}
			s.upgrade(syscall.SIGUSR2)
		}
		s.stop()
	})
}

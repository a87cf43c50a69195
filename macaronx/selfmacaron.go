package macaronx

import (
	"net"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
)

// SelfMacaron is a Macaron with a Run method that upgrades itself. It replaces the type of that
// name in a program that has its own, with a "-graceful" flag and a signal handler. Delete those,
// and keep the rest of the program.
//
//	m := &macaronx.SelfMacaron{Macaron: macaron.Classic()}
type SelfMacaron struct {
	*macaron.Macaron

	// RunOptions are the options of every run method. They are not called Options, because that
	// is Macaron's method for a route.
	RunOptions []core.Option
}

// Run serves HTTP on the TCP address host:port. An empty host means all interfaces. It returns
// the same as the function [Run].
func (m *SelfMacaron) Run(host string, port int) error {
	return m.RunAddr(address(host, port))
}

// RunAddr is like the function [RunAddr].
func (m *SelfMacaron) RunAddr(addr string) error {
	return RunAddr(m.Macaron, addr, m.RunOptions...)
}

// RunTLS is like the function [RunTLS].
func (m *SelfMacaron) RunTLS(addr, certFile, keyFile string) error {
	return RunTLS(m.Macaron, addr, certFile, keyFile, m.RunOptions...)
}

// RunUnix is like the function [RunUnix].
func (m *SelfMacaron) RunUnix(file string) error {
	return RunUnix(m.Macaron, file, m.RunOptions...)
}

// RunListener is like the function [RunListener].
func (m *SelfMacaron) RunListener(ln net.Listener) error {
	return RunListener(m.Macaron, ln, m.RunOptions...)
}

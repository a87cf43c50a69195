//go:build unix

package compattest

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// Program is one that runs, with all its generations.
type Program struct {
	*proctest.Program
	Addr, Other string // its addresses; the second one is empty if it has no flag -other

	t *testing.T
}

// Build builds the program in the package's testdata, in a directory of the test's own.
func Build(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	proctest.Build(t, path, "./testdata/"+name)
	return path
}

// Start starts the program on addresses that are free, and waits until it serves. With two it has the flag -other.
func Start(t *testing.T, path string, servers int, args ...string) *Program {
	t.Helper()
	p := &Program{t: t, Addr: proctest.FreeAddr(t)}
	args = append([]string{"-addr", p.Addr}, args...)
	if servers > 1 {
		p.Other = proctest.FreeAddr(t)
		args = append(args, "-other", p.Other)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = filepath.Dir(path)
	p.Program = proctest.Start(t, cmd)
	p.Await("it is current", func() bool { return len(p.pids()) > 0 })
	if servers > 1 { // the second server can come later
		p.Await("it accepts on both addresses", func() bool { return accepts(p.Addr) && accepts(p.Other) })
	}
	return p
}

// accepts reports whether somebody listens at addr.
func accepts(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err == nil {
		c.Close()
	}
	return err == nil
}

var current = regexp.MustCompile(`\bcurrent generation=\d+ own_pid=(\d+)`)

// pids are the processes that said that they are current, in that order.
func (p *Program) pids() (pids []int) {
	for _, m := range current.FindAllStringSubmatch(p.Log.String(), -1) {
		if pid, err := strconv.Atoi(m[1]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Signal signals the current generation.
func (p *Program) Signal(sig syscall.Signal) {
	p.t.Helper()
	pids := p.pids()
	p.Program.Signal(pids[len(pids)-1], sig)
}

// Upgrade upgrades by a signal, and returns when the next generation is current.
func (p *Program) Upgrade(sig syscall.Signal) {
	p.t.Helper()
	before := len(p.pids())
	p.Signal(sig)
	p.Await("a new generation is current", func() bool { return len(p.pids()) > before })
}

// Upgrades runs load on all addresses while the program is upgraded twice by the signal, and stops it: nothing is
// lost, and nobody who keeps a connection has to reconnect.
func (p *Program) Upgrades(sig syscall.Signal) {
	p.t.Helper()
	var runs []*load.Run
	for _, addr := range []string{p.Addr, p.Other} {
		if addr != "" {
			runs = append(runs, load.Start(load.Config{Addr: addr, Path: "/hello", Method: "GET", Any: true, Clients: 4, Fresh: 4}))
		}
	}
	p.Upgrade(sig)
	p.Upgrade(sig)
	for _, run := range runs {
		if res := run.Stop(); res.Failed != 0 || res.Requests == 0 || res.Reconnects != 0 {
			p.t.Errorf("%v", res)
		}
	}
	p.Signal(syscall.SIGTERM)
	p.AwaitEnd()
}

//go:build unix

package migrate_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// The program before restarts itself, then its binary is replaced by the program
// after, and from then on no client notices. There is a way back.
func TestMovesOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "app")
	deploy(t, "before", file)
	p := exampletest.StartFile(t, file, func(addr, pidfile string) []string {
		host, port, err := net.SplitHostPort(addr)
		must.Do(t, err)
		return []string{"-host", host, "-port", port, "-pidfile", pidfile}
	})

	restart(t, p) // before by before
	deploy(t, "after", file)
	restart(t, p) // before by after

	run := startLoad(p, 8)
	defer run.Stop()
	p.AwaitLoad(run)
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGUSR2} {
		p.Upgrade(sig)
		p.AwaitLoad(run)
	}
	if r := run.Stop(); r.Failed != 0 || r.Reconnects != 0 || len(r.Served) != 3 {
		t.Errorf("want none failed, no reconnect and answers of 3 processes: %v", r)
	}

	run = startLoad(p, 8)
	defer run.Stop()
	deploy(t, "before", file)
	p.Upgrade(syscall.SIGHUP)
	p.AwaitLog("plain=true\n", 1) // until then the pid file can name the old process again
	p.AwaitLoad(run)
	if r := run.Stop(); r.Failed != 0 {
		t.Errorf("the way back: want none failed: %v", r)
	}
	deploy(t, "after", file)
	restart(t, p)
	p.Stop()
}

// restart has before restart while clients connect for each request. It may lose what it has accepted when it
// shuts down, and nothing else: no client is refused, and none gets a wrong answer.
func restart(t *testing.T, p *exampletest.Program) {
	t.Helper()
	run := startLoad(p, 0)
	defer run.Stop()
	p.AwaitLoad(run)
	stopped := "process " + strconv.Itoa(p.PID()) + " has stopped\n"
	p.Upgrade(syscall.SIGHUP)
	p.AwaitLog(stopped, 1)
	p.AwaitLoad(run)
	r := run.Stop()
	if r.Failed > r.Reasons[load.NoAnswer]+r.Reasons[load.Reset] {
		t.Errorf("more lost than Shutdown cuts: %v", r)
	}
	t.Logf("%d of %d requests lost", r.Failed, r.Requests)
}

// startLoad starts as many clients that keep their connection, and 4 that do not.
func startLoad(p *exampletest.Program, clients int) *load.Run {
	return load.Start(load.Config{
		Addr: p.Addr, Clients: clients, Fresh: 4, Think: 2 * time.Millisecond, Timeout: exampletest.Patience,
	})
}

func TestMain(m *testing.M) { os.Exit(proctest.Main(m)) }

// deploy builds a program and renames it into place.
func deploy(t *testing.T, program, file string) {
	t.Helper()
	next := file + ".new"
	proctest.Build(t, next, "./"+program)
	must.Do(t, os.Rename(next, file))
}

package proc

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestServiceManager_HasStarted looks at children of this process, which may be the manager, or what that has started.
func TestServiceManager_HasStarted(t *testing.T) {
	t.Parallel()
	self, pid := strconv.Itoa(os.Getpid()), child(t, "cat").Process.Pid
	shell := child(t, "/bin/sh", "-c", "cat; exit").Process.Pid
	var inShell int
	for end := time.Now().Add(time.Minute); inShell == 0 && time.Now().Before(end); {
		if pids := children(shell); len(pids) > 0 {
			inShell = pids[0]
		}
	}
	socket := filepath.Join(t.TempDir(), "notify")
	defer must.Get(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}))(t).Close()
	abstract := "@" + socket
	defer must.Get(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: abstract, Net: "unixgram"}))(t).Close()

	for name, c := range map[string]struct {
		manager  ServiceManager
		pid      int
		replaces bool
		want     bool
	}{
		"by its word":               {ServiceManager{ExecPID: strconv.Itoa(pid)}, pid, false, true},
		"another process":           {ServiceManager{ExecPID: self}, pid, false, false},
		"... that it replaces":      {ServiceManager{ExecPID: self}, pid, true, true},
		"a shell":                   {ServiceManager{ExecPID: strconv.Itoa(shell)}, inShell, false, true},
		"a shell of the service's":  {ServiceManager{ExecPID: self}, inShell, false, false},
		"the parent is the manager": {ServiceManager{PID: self}, pid, false, true},
		"... but not at its start":  {ServiceManager{PID: self, ExecPID: self}, pid, false, false},
		"the parent has the socket": {ServiceManager{Socket: socket, ExecPID: self}, pid, false, true},
		"... that of another has":   {ServiceManager{Socket: socket, ExecPID: strconv.Itoa(pid)}, os.Getpid(), false, false},
		"an abstract one":           {ServiceManager{Socket: abstract}, pid, false, true},
		"another one":               {ServiceManager{Socket: socket + "2"}, pid, false, false},
		"nothing is known":          {ServiceManager{}, pid, false, false},
	} {
		err := c.manager.Started(c.pid, c.replaces)
		if (err == nil) != c.want || err != nil && !errors.Is(err, ErrNotMain) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

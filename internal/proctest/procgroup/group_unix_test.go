//go:build unix

package procgroup

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 60 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestClear_WaitsForOrphans(t *testing.T) {
	if err := AdoptOrphans(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "/bin/sh -c 'sleep 1000 & exec sleep 1000' & exit 7")
	Lead(cmd)
	must(t, cmd.Start())
	g := Group{Leader: cmd.Process.Pid}
	if err := g.Signal(os.Getpid(), syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a process of another group is signalled: %v", err)
	}
	var ended []Exit
	for late := time.Now().Add(patience); len(ended) == 0 && time.Now().Before(late); time.Sleep(look) {
		ended = g.Reap()
	}
	if len(ended) != 1 || ended[0].String() != "pid "+strconv.Itoa(g.Leader)+": exit status 7" {
		t.Errorf("%v", ended)
	}
	if left := g.Clear(patience); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestReadPIDFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	if n := ReadPIDFile(path); n != 0 {
		t.Errorf("no file: %d", n)
	}
	for text, want := range map[string]int{"": 0, "12\n": 12, "x": 0, "-1": 0, "7 8": 0} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if n := ReadPIDFile(path); n != want {
			t.Errorf("%q: %d, want %d", text, n, want)
		}
	}
}

// TestLead_ResetsHangup: whoever starts many processes at once, while SIGHUP is ignored here, gets none that ignores it.
// It is not parallel, because it changes what this process does with the signal.
func TestLead_ResetsHangup(t *testing.T) {
	for range 20 {
		signal.Ignore(syscall.SIGHUP)
		begin := make(chan struct{})
		var starts sync.WaitGroup
		for range 16 {
			starts.Go(func() {
				cmd := exec.Command("/bin/sh", "-c", "kill -HUP $$")
				<-begin
				Lead(cmd)
				if err := cmd.Run(); err == nil {
					t.Error("a process ignores SIGHUP")
				}
			})
		}
		close(begin)
		starts.Wait()
	}
}

package core

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/reserve"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// TestUpgrade_TooLittleRoomRefusesIt beside this process: the error has the figures, the limit and the remedy.
func TestUpgrade_TooLittleRoomRefusesIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "%m", dir)), 0o644))
	}
	write("self/status", "Uid:\t1000\t1000\nThreads:\t8\nRssAnon:\t 40960 kB\n")
	write("self/cgroup", "0::/shop\n")
	write("self/mountinfo", "35 31 0:32 / %m/cg rw - cgroup2 cgroup2 rw\n")
	write("cg/shop/pids.max", "14\n")
	write("cg/shop/pids.current", "9\n")
	write("cg/shop/memory.max", "104857600\n")
	write("cg/shop/memory.current", "94371840\n")
	write("cg/shop/memory.stat", "inactive_file 1048576\n")
	Alone(t)
	log := new(procgroup.Output)
	tried := errors.New("it was tried")
	u := newAlone(t, system{around: reserve.System(dir)}, []Option{
		WithLogger(slog.New(slog.NewTextHandler(log, nil))), WithEnvironment(func([]string) []string { panic(tried) }),
	})
	u.ListenTest(t)
	must(t, u.Ready())
	u.expectUpgrade(t, syscall.EAGAIN, "gracex: upgrade: 5 of the 14 threads of pids.max of /shop are free, and an upgrade takes ",
		"; raise TasksMax= (systemd) or --pids-limit (docker, podman)")
	write("cg/shop/pids.max", "max\n")
	u.expectUpgrade(t, syscall.ENOMEM, "gracex: upgrade: 11 of the 100 MiB of memory.max of /shop are free, "+
		"and the next process may take the 40 MiB that this one has; raise MemoryMax= (systemd) or --memory (docker, podman)")
	write("cg/shop/memory.max", "max\n")
	for range 2 { // the limit of the user is not known, which is no reason
		u.expectUpgrade(t, ErrVetoed, tried.Error())
	}
	if n := strings.Count(log.String(), "a limit is not known"); n != 1 {
		t.Errorf("the log says %d times that a limit is not known:\n%s", n, log)
	}
}

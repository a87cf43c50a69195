package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestPin keeps every thread of a process on one processor.
func TestPin(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	must.Do(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	must.Do(t, pin(cmd.Process.Pid, serverProcessor))
	for _, file := range taskFiles(cmd.Process.Pid, "status") {
		status := string(must.Get(os.ReadFile(file))(t))
		_, allowed, _ := strings.Cut(status, "Cpus_allowed_list:\t")
		if allowed, _, _ = strings.Cut(allowed, "\n"); allowed != strconv.Itoa(serverProcessor) {
			t.Errorf("%s: on %s", file, allowed)
		}
	}
}

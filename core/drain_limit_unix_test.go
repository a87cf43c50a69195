//go:build unix

package core_test

import (
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func TestWithDrainTimeout_ZeroWaitsForEveryRequest(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "0", "-control", "ctl.sock")
	first := a.expect("ready", 0)
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?hold=go")
	a.expect("handling", 0)
	a.signal(first.PID, syscall.SIGTERM)
	st := status(t, control.Dial(filepath.Join(a.dir, "ctl.sock")), func(st control.Status) bool {
		return len(st.Generations) > 0 && st.Generations[0].State == core.StateStopping.String()
	})
	if at := st.Generations[0].Deadline; at != nil {
		t.Errorf("the drain has a deadline: %v", at)
	}
	a.expectLog("timeout=none", 1)
	must(t, os.WriteFile(filepath.Join(a.dir, "go"), nil, 0o600))
	if r := c.Answer(); r.StatusCode != http.StatusOK {
		t.Errorf("status %d", r.StatusCode)
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
}

//go:build unix

package core_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

func TestWithDrainTimeout_ZeroWaitsForEveryRequest(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "0", "-probation", "0", "-control", "ctl.sock")
	first := a.expect("ready", 0)
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?hold=go")
	a.expect("handling", 0)
	a.next(first)
	a.expectLog("timeout=none", 1)
	st := status(t, control.Dial(a.path("ctl.sock")), func(st control.Status) bool {
		return len(st.Generations) == 2 && st.Generations[1].State == core.StateDraining.String()
	})
	if at := st.Generations[1].Deadline; at != nil {
		t.Errorf("the drain has a deadline: %v", at)
	}
	must(t, os.WriteFile(a.path("go"), nil, 0o600))
	if r := c.Answer(); r.StatusCode != http.StatusOK {
		t.Errorf("status %d", r.StatusCode)
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
}

//go:build unix

package core_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// silentClients connect to the control socket, and say nothing, or a part of a request, or read no answer. Those that
// owe the rest of a request are returned.
func silentClients(t *testing.T, c *control.Client) (owing []*rawhttp.Client) {
	t.Helper()
	for range 12 {
		for _, said := range []string{
			"",
			"GET /v1/st",
			"POST /v1/rollback HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
			strings.Repeat("GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", 50),
		} {
			nc := rawhttp.Dial(t, c.Path())
			nc.Send(said)
			if !strings.HasSuffix(said, "\r\n\r\n") {
				owing = append(owing, nc)
			}
		}
	}
	return owing
}

// TestControlSocket_SilentClientsHoldNothingUp: a status, an upgrade, the end of the old process and a stop do not wait
// for them. What owes a request is let go in the end.
func TestControlSocket_SilentClientsHoldNothingUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, c, first := controlled(t, "-probation", "0", "-drain", "4m")
	silentClients(t, c)
	status(t, c, func(st control.Status) bool { return st.PID == first.PID })
	o, err := c.Upgrade(ctx, control.UpgradeOptions{Drain: true})
	must(t, err)
	if !o.OK {
		t.Errorf("the upgrade: %+v", o)
	}
	a.endsWell(0)
	for _, nc := range silentClients(t, c) {
		must(t, nc.SetReadDeadline(time.Now().Add(patience)))
		_, err := io.Copy(io.Discard, nc)
		must(t, err)
	}
	silentClients(t, c)
	must(t, c.StopAndWait(ctx))
	a.endsWell(1)
}

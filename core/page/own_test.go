package page

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/control"
)

// An app without a socket says what to do, and one with a socket is asked there, whenever it is made.
func TestOwn(t *testing.T) {
	t.Parallel()
	path := ""
	h := Handler(Config{Source: Own(func() string { return path }), Actions: always})
	if s := look(t, h, state{}); !strings.Contains(s.Gone, "core.WithControlSocket") {
		t.Errorf("without a socket: %q", s.Gone)
	}
	for _, action := range []string{"upgrade", "rollback", "promote", "stop"} {
		if w := ask(h, http.MethodPost, "/"+action, "{}"); !strings.Contains(w.Body.String(), "core.WithControlSocket") {
			t.Errorf("%s without a socket: %d %s", action, w.Code, w.Body)
		}
	}
	if w := ask(h, http.MethodGet, "/events", ""); !strings.Contains(w.Body.String(), "core.WithControlSocket") {
		t.Errorf("events without a socket: %s", w.Body)
	}
	path = filepath.Join(t.TempDir(), "sock")
	ctx, source := t.Context(), Own(func() string { return path })
	_, status := source.Status(ctx)
	_, totals := source.Totals(ctx, 0)
	_, upgrade := source.Upgrade(ctx, control.UpgradeOptions{})
	for name, err := range map[string]error{
		"status": status, "totals": totals, "upgrade": upgrade, "rollback": source.Rollback(ctx, ""), "promote": source.Promote(ctx), "stop": source.Stop(ctx),
	} {
		if !errors.Is(err, control.ErrNotFound) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s at a path where nothing is: %v", name, err)
		}
	}
}

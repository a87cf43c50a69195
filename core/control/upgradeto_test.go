//go:build unix

package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestUpgrade_ToAReleaseOfAnOlderApp starts nothing: the app would take the release at the launch path.
func TestUpgrade_ToAReleaseOfAnOlderApp(t *testing.T) {
	path := filepath.Join(runtimeDir(t), "s")
	var refused ErrorBody
	refused.Error.Code, refused.Error.Message = CodeNotFound, "there is no /v1/upgrade-to; there are /v1/status, ledger, upgrade, rollback and stop"
	var asked []string
	play(t, path, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		switch r.URL.Path {
		case "/v1/status":
			says(Protocol, 200, Status{Protocol: Protocol, PID: 7, Generations: []Generation{{PID: 7}}})(w, r)
		case "/v1/upgrade":
			says(Protocol, 200, json.RawMessage(`{"outcome":{"ok":true,"kind":"upgraded"}}`))(w, r)
		default:
			says(Protocol, 404, refused)(w, r)
		}
	})
	_, err := Dial(path).Upgrade(t.Context(), UpgradeOptions{Release: "1.5.0", Drain: true})
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "nothing was started") {
		t.Errorf("Upgrade = %v", err)
	}
	if want := "POST /v1/upgrade-to?drain=1&release=1.5.0"; len(asked) != 1 || asked[0] != want {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if _, err := Dial(path).Upgrade(t.Context(), UpgradeOptions{Release: "1.5.0", Leave: true}); err == nil || len(asked) != 1 {
		t.Errorf("with Leave: %v, asked %q", err, asked)
	}
	for line, code := range map[string]int{
		"upgrade --release 1.5.0": ExitNotFound, "upgrade --release=": ExitUsage, "upgrade --release 1.5.0 --leave": ExitUsage,
	} {
		var out, errs strings.Builder
		if got := Command(t.Context(), strings.Fields(line), Query{Socket: path}, &out, &errs); got != code {
			t.Errorf("%s: exit status %d, want %d: %s", line, got, code, &errs)
		}
	}
	for _, request := range asked {
		if strings.HasPrefix(request, "POST /v1/upgrade?") || request == "POST /v1/upgrade" {
			t.Errorf("asked %q", request)
		}
	}
}

// TestUpgrade_ToNoRelease is an error that a caller can tell.
func TestUpgrade_ToNoRelease(t *testing.T) {
	path := filepath.Join(runtimeDir(t), "s")
	var refused ErrorBody
	refused.Error.Code, refused.Error.Message = CodeNoRelease, `no such release: "1" is no directory`
	play(t, path, says(Protocol, 409, refused))
	_, err := Dial(path).Upgrade(t.Context(), UpgradeOptions{Release: "1"})
	if !errors.Is(err, ErrNoRelease) || err.Error() != refused.Error.Message || ExitStatus(err) != ExitRefused {
		t.Errorf("Upgrade = %v", must.Get(json.Marshal(err.Error()))(t))
	}
}

//go:build unix

package control

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestCommand_PrintsAndReturnsTheOutcome of what an app answers.
func TestCommand_PrintsAndReturnsTheOutcome(t *testing.T) {
	status := Status{Protocol: Protocol, PID: 7, Program: "/srv/app", Generations: []Generation{{PID: 7, State: "current"}}}
	upgraded := `{"step":"started","pid":8,"text":"runs"}` + "\n" + `{"outcome":{"ok":true,"kind":"upgraded","old_pid":7,"new_pid":8,"took_ms":1500}}` + "\n"
	failed := `{"outcome":{"ok":false,"kind":"rolled_back","old_pid":7,"reason":"it ended","stderr":["panic: a bug"]}}` + "\n"
	var refused ErrorBody
	refused.Error.Code, refused.Error.Message = CodeRefused, "not on probation"
	for name, tt := range map[string]struct {
		line      string
		upgrade   string // the answer
		code      int
		out, errs string
	}{
		"status":         {"status", "", ExitOK, "7    current", ""},
		"status, JSON":   {"status --json", "", ExitOK, `"program":"/srv/app"`, ""},
		"upgrade":        {"upgrade --drain", upgraded, ExitOK, "upgrading process 7\nstarted    process 8: runs\nupgraded process 7 -> process 8", ""},
		"upgrade, bad":   {"upgrade", failed, ExitRolledBack, "", "rolled back: it ended\n  the last that it wrote to stderr:\n  | panic: a bug\nprocess 7 serves on\n"},
		"upgrade, JSON":  {"upgrade --json", failed, ExitRolledBack, `"exit_status":5}` + "\n", ""},
		"upgrade, torn":  {"upgrade", `{"step":"started","pid":8}` + "\n", ExitFailed, "started", "the outcome of the upgrade is not known"},
		"rollback":       {"rollback --reason slow", "", ExitRefused, "", "refused: not on probation"},
		"ledger":         {"ledger", "", ExitOK, `{"served":3}`, ""},
		"no command":     {"", "", ExitUsage, "", `"" is none of the commands status, upgrade`},
		"another":        {"frob", "", ExitUsage, "", `"frob" is none of the commands`},
		"another flag":   {"upgrade -addr :8080", "", ExitUsage, "", "flag provided but not defined: -addr"},
		"an argument":    {"status now", "", ExitUsage, "", "status takes no argument"},
		"no time":        {"stop --timeout 0s", "", ExitUsage, "", "--timeout 0s"},
		"no app":         {"status --socket none", "", ExitNotFound, "", "there is no socket none"},
		"no app, JSON":   {"upgrade --json --socket none", "", ExitNotFound, `"kind":"unknown"`, ""},
		"help":           {"upgrade -h", "", ExitOK, "", "-drain"},
		"stop, no wait":  {"stop --no-wait", "", ExitOK, "process 7 stops", ""},
		"another app's ": {"status --pid-file none", "", ExitNotFound, "", "there is no pid file none"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(runtimeDir(t), "s")
			play(t, path, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v1/status", "/v1/stop":
					says(Protocol, 200, status)(w, r)
				case "/v1/ledger":
					says(Protocol, 200, json.RawMessage(`{"served":3}`))(w, r)
				case "/v1/rollback":
					says(Protocol, 409, refused)(w, r)
				default:
					w.Header().Set(HeaderProtocol, "1")
					_, _ = w.Write([]byte(tt.upgrade))
				}
			})
			var out, errs strings.Builder
			code := Command(t.Context(), strings.Fields(tt.line), Query{Socket: path}, &out, &errs)
			if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.errs) {
				t.Errorf("exit status %d\n%s%s", code, &out, &errs)
			}
			if tt.out == "" && out.Len() > 0 && !strings.HasPrefix(out.String(), "upgrading") || tt.errs == "" && errs.Len() > 0 {
				t.Errorf("stdout %q, stderr %q", &out, &errs)
			}
		})
	}
}

// TestReport_IsOneObject with the outcome's fields and the exit status, which is read again as it was.
func TestReport_IsOneObject(t *testing.T) {
	t.Parallel()
	want := NewReport(Outcome{Kind: KindTimedOut, OldPID: 7, Reason: "late", Took: 1500 * time.Millisecond}, nil)
	b := must.Get(json.Marshal(want))(t)
	const text = `{"ok":false,"kind":"timed_out","old_pid":7,"old_generation":0,"generation":0,"reason":"late","took_ms":1500,"exit_status":6}`
	var got Report
	must.Do(t, json.Unmarshal(b, &got))
	if string(b) != text || got.ExitStatus != want.ExitStatus || got.Took != want.Took || got.Reason != want.Reason {
		t.Errorf("%s is read as %+v", b, got)
	}
}

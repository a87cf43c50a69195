//go:build unix

package control

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestCommand_PrintsAndReturnsTheOutcome of what an app answers.
func TestCommand_PrintsAndReturnsTheOutcome(t *testing.T) {
	status := Status{Protocol: Protocol, PID: 7, Program: "/srv/app", Generations: []Generation{{PID: 7, State: "current"}}}
	upgraded := `{"step":"started","pid":8,"text":"runs"}` + "\n" + `{"outcome":{"ok":true,"kind":"upgraded","old_pid":7,"new_pid":8,"took_ms":1500}}` + "\n"
	warned := `{"step":"warning","pid":7,"text":"half a deployment"}` + "\n" + upgraded
	failed := `{"outcome":{"ok":false,"kind":"rolled_back","old_pid":7,"reason":"it ended","stderr":["panic: a bug"]}}` + "\n"
	var refused ErrorBody
	refused.Error.Code, refused.Error.Message = CodeRefused, "not on probation"
	for name, tt := range map[string]struct {
		line      string
		upgrade   string // the answer
		code      int
		out, errs string
	}{
		"status":          {"status", "", ExitOK, "7    current", ""},
		"status, totals":  {"status", "", ExitOK, "SERVER  REQUESTS  CONNECTIONS\n:8080   812       40\nmoved           3 connections: 3 HTTP/1\n", ""},
		"status, JSON":    {"status --json", "", ExitOK, `"program":"/srv/app"`, ""},
		"upgrade":         {"upgrade --drain", upgraded, ExitOK, "upgrading process 7\nstarted    process 8: runs\nupgraded process 7 -> process 8", ""},
		"upgrade, bad":    {"upgrade", failed, ExitRolledBack, "", "rolled back: it ended\n  the last that it wrote to stderr:\n  | panic: a bug\nprocess 7 serves on\n"},
		"upgrade, warned": {"upgrade", warned, ExitOK, "started ", "warning: half a deployment\n"},
		"warned, JSON":    {"upgrade --json", warned, ExitOK, `"exit_status":0}`, ""},
		"upgrade, JSON":   {"upgrade --json", failed, ExitRolledBack, `"exit_status":5}` + "\n", ""},
		"upgrade, torn":   {"upgrade", `{"step":"started","pid":8}` + "\n", ExitFailed, "started", "the outcome of the upgrade is not known"},
		"rollback":        {"rollback --reason slow", "", ExitRefused, "", "refused: not on probation"},
		"ledger":          {"ledger", "", ExitOK, `{"served":3}`, ""},
		"totals":          {"totals", "", ExitOK, "upgrades        2 upgraded\n", ""},
		"totals, JSON":    {"totals --json", "", ExitOK, `"total":{"servers":[{"server":":8080","requests":812,"accepted":40}]`, ""},
		"promote":         {"promote", "", ExitOK, "process 7 goes on by itself: its probation is over\n", ""},
		"no command":      {"", "", ExitUsage, "", `"" is none of the commands status, upgrade`},
		"another":         {"frob", "", ExitUsage, "", `"frob" is none of the commands`},
		"another flag":    {"upgrade -addr :8080", "", ExitUsage, "", "flag provided but not defined: -addr"},
		"an argument":     {"status now", "", ExitUsage, "", "status takes no argument"},
		"no time":         {"stop --timeout 0s", "", ExitUsage, "", "--timeout 0s"},
		"no app":          {"status --socket none", "", ExitNotFound, "", "there is no socket none"},
		"no app, JSON":    {"upgrade --json --socket none", "", ExitNotFound, `"kind":"unknown"`, ""},
		"help":            {"upgrade -h", "", ExitOK, "", "-drain"},
		"stop, no wait":   {"stop --no-wait", "", ExitOK, "process 7 stops", ""},
		"another app's ":  {"status --pid-file none", "", ExitNotFound, "", "there is no pid file none"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(runtimeDir(t), "s")
			play(t, path, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/v1/stop":
					if r.URL.Query().Get("end") != "1" {
						t.Error("a main that does not return is not ended")
					}
					fallthrough
				case "/v1/status":
					says(Protocol, 200, status)(w, r)
				case PathTotals:
					says(Protocol, 200, Totals{Total: Counts{
						Servers:  []ServerCounts{{Server: ":8080", Requests: 812, Accepted: 40}},
						Moved:    []MovedCounts{{Protocol: ProtocolHTTP1, Connections: 3}},
						Upgrades: []UpgradeCounts{{Outcome: KindUpgraded, Count: 2}},
					}})(w, r)
				case PathPromote:
					if r.Method != http.MethodPost {
						t.Error(r.Method)
					}
					says(Protocol, 200, struct{}{})(w, r)
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

// TestStatus_IsOneObject whose fields scripts rely on: with everything that is known, and with nothing of it.
func TestStatus_IsOneObject(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 20, 30, 0, 5e8, time.UTC)
	for want, s := range map[string]Status{
		`{"protocol":1,"pid":7,"program":"/srv/app","generations":[{"generation":0,"pid":7,"state":"unknown",` +
			`"probation":false,"requests":0,"idle":0,"connections":0,"hijacked":0}]}`: {
			Protocol: Protocol, PID: 7, Program: "/srv/app", Generations: []Generation{{PID: 7, State: "unknown"}},
		},
		`{"protocol":1,"pid":7,"supervisor":6,"program":"/srv/app","version":"v2","pid_file":"/run/app.pid",` +
			`"generations":[{"generation":3,"pid":7,"state":"current","probation":true,"version":"v2",` +
			`"started":"2026-11-28T20:30:00.5Z","requests":1,"idle":2,"connections":3,"hijacked":4,"memory":5,` +
			`"deadline":"2026-11-28T20:30:00.5Z","listeners":[{"name":"metrics","network":"tcp","address":"[::]:9090",` +
			`"outside":true}]}],"last_upgrade":{"at":"2026-11-28T20:30:00.5Z","outcome":{"ok":false,"kind":"failed",` +
			`"old_pid":7,"new_pid":8,"old_generation":3,"generation":3,"old_version":"v2","version":"v3","reason":"bad",` +
			`"stderr":["a"],"warnings":["b"],"left":"einhorn","exit":"exit status 1","took_ms":1500}},"pid_namespace":9}`: {
			Protocol: Protocol, PID: 7, Supervisor: 6, Program: "/srv/app", Version: "v2", PIDFile: "/run/app.pid",
			Generations: []Generation{{
				Generation: 3, PID: 7, State: "current", Probation: true, Version: "v2", Started: at, Requests: 1, Idle: 2,
				Connections: 3, Hijacked: 4, Memory: 5, Deadline: &at,
				Listeners: []Listener{{Name: "metrics", Network: "tcp", Address: "[::]:9090", Outside: true}},
			}},
			LastUpgrade: &LastUpgrade{At: at, Outcome: Outcome{
				Kind: KindFailed, OldPID: 7, NewPID: 8, OldGeneration: 3, Generation: 3, OldVersion: "v2", Version: "v3",
				Reason: "bad", Stderr: []string{"a"}, Warnings: []string{"b"}, Left: "einhorn", Exit: "exit status 1",
				Took: 1500 * time.Millisecond,
			}},
			PIDNamespace: 9,
		},
	} {
		b := must.Get(json.Marshal(s))(t)
		if string(b) != want {
			t.Errorf("%s\nwant %s", b, want)
		}
		var again Status
		must.Do(t, json.Unmarshal(b, &again))
		if !reflect.DeepEqual(again, s) {
			t.Errorf("%+v is read as %+v", s, again)
		}
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

// TestCommand_AnOlderAppHasNoTotals: its status is shown without them, and what it can't do is said.
func TestCommand_AnOlderAppHasNoTotals(t *testing.T) {
	status := Status{Protocol: Protocol, PID: 7, Program: "/srv/app", Generations: []Generation{{PID: 7, State: "current"}}}
	var notFound ErrorBody
	notFound.Error.Code, notFound.Error.Message = CodeNotFound, "there is no such path"
	path := filepath.Join(runtimeDir(t), "s")
	play(t, path, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/status" {
			says(Protocol, 200, status)(w, r)
			return
		}
		says(Protocol, 404, notFound)(w, r)
	})
	for line, want := range map[string]struct {
		code      int
		out, errs string
	}{
		"status":  {ExitOK, "current  -        -    0         0 (0 idle)   -\n", ""},
		"totals":  {ExitNotFound, "", "the app's gracex can't count for the whole service; deploy a version with a newer one\n"},
		"promote": {ExitNotFound, "", "the app's gracex can't be asked to end a probation; deploy a version with a newer one\n"},
	} {
		var out, errs strings.Builder
		code := Command(t.Context(), []string{line}, Query{Socket: path}, &out, &errs)
		if code != want.code || !strings.HasSuffix(out.String(), want.out) || !strings.HasSuffix(errs.String(), want.errs) ||
			(out.Len() > 0) != (want.out != "") || (errs.Len() > 0) != (want.errs != "") {
			t.Errorf("%s: exit status %d\n%s%s", line, code, &out, &errs)
		}
	}
}

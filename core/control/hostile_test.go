//go:build unix

package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gracex-go/gracex/internal/must"
)

// hostile is what a terminal obeys: a title, the clipboard, CSI in one character, the direction of text, a line of its
// own.
const hostile = "\x1b]0;owned\a\x1b]52;c;ZQ==\a\u009b2J\x7f\u202e\r\nupgraded process 1 -> process 2"

// TestCommand_ShowsNothingThatATerminalObeys has an app answer with control characters wherever it has words.
func TestCommand_ShowsNothingThatATerminalObeys(t *testing.T) {
	g := Generation{PID: 7, State: hostile, Version: hostile, Started: time.Now(), Listeners: []Listener{
		{Name: hostile, Network: "tcp", Address: hostile}, {Address: hostile, Outside: true},
	}}
	bad := Outcome{
		Kind: hostile, OldPID: 7, OldVersion: hostile, Version: hostile, Reason: hostile, Stderr: []string{hostile},
		Warnings: []string{hostile}, Exit: hostile, Left: hostile,
	}
	good := bad
	good.OK = true
	status := Status{
		Protocol: Protocol, PID: 7, Program: hostile, Version: hostile, PIDFile: hostile, Generations: []Generation{g},
		LastUpgrade: &LastUpgrade{At: time.Now(), Outcome: bad},
	}
	var refused ErrorBody
	refused.Error.Code, refused.Error.Message = CodeRefused, hostile
	var stream []string
	for _, step := range []string{hostile, StepStarted, StepProbation, StepDraining, StepWarning} {
		stream = append(stream, string(must.Get(json.Marshal(Event{Step: step, PID: 8, Text: hostile}))(t)))
	}
	for name, o := range map[string]Outcome{"bad": bad, "good": good} {
		path := filepath.Join(runtimeDir(t), "s")
		play(t, path, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/v1/status":
				says(Protocol, 200, status)(w, r)
			case "/v1/ledger":
				says(Protocol, 200, map[string]string{hostile: hostile})(w, r)
			case "/v1/upgrade":
				w.Header().Set(HeaderProtocol, "1")
				last := must.Get(json.Marshal(map[string]Outcome{"outcome": o}))(t)
				_, _ = fmt.Fprintf(w, "%s\n%s\n", strings.Join(stream, "\n"), last)
			default:
				says(Protocol, 409, refused)(w, r)
			}
		})
		for _, line := range []string{
			"status", "status --json", "upgrade", "upgrade --json", "rollback", "stop --no-wait", "stop", "ledger",
		} {
			var out, errs strings.Builder
			Command(t.Context(), strings.Fields(line), Query{Socket: path}, &out, &errs)
			for _, shown := range []string{out.String(), errs.String()} {
				if i := strings.IndexFunc(shown, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
					t.Errorf("%s, %s: %q reaches the terminal", name, line, shown[i:min(i+20, len(shown))])
				}
				if strings.Contains(shown, "\nupgraded process 1 ->") {
					t.Errorf("%s, %s: a line of its own:\n%s", name, line, shown)
				}
			}
			if strings.HasSuffix(line, "--json") && line != "upgrade --json" {
				var back Status
				must.Do(t, json.Unmarshal([]byte(out.String()), &back))
				if back.Version != hostile || back.Generations[0].Listeners[0].Name != hostile {
					t.Errorf("%s: the JSON says something else: %.300s", line, &out)
				}
			}
		}
	}
}

// TestFind_NamesWhatDoesNothingToATerminal has an error name a socket whose path another user has chosen.
func TestFind_NamesWhatDoesNothingToATerminal(t *testing.T) {
	runtimeDir(t)
	for i, name := range []string{"a\x1b[31m", "b\u009b2J"} {
		s := Status{Protocol: Protocol, PID: i + 1, Program: hostile}
		play(t, filepath.Join(DefaultDir(), name+socketExt), says(Protocol, 200, s))
	}
	_, err := Find(t.Context(), Query{})
	if err == nil || !strings.Contains(err.Error(), `b\u009b2J`) || strings.ContainsAny(err.Error(), "\x1b\u009b\u202e\n") {
		t.Errorf("Find = %q", err)
	}
}

package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// valid checks lines of JSON against a schema of docs/schema, of which there has to be one line at least.
func valid(t *testing.T, name, lines string) {
	t.Helper()
	schema := compiled(t, name)
	if lines == "" {
		t.Errorf("nothing for %s", name)
	}
	for line := range strings.Lines(lines) {
		if err := schema.Validate(decoded(t, line)); err != nil {
			t.Errorf("%s: %s%v", name, line, err)
		}
	}
}

// compiled is a schema for which formats count.
func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	var id string
	for _, file := range must.Get(filepath.Glob("../../docs/schema/*.json"))(t) {
		doc := decoded(t, string(must.Get(os.ReadFile(file))(t)))
		itsID, _ := doc.(map[string]any)["$id"].(string)
		must.Do(t, c.AddResource(itsID, doc))
		if filepath.Base(file) == name {
			id = itsID
		}
	}
	return must.Get(c.Compile(id))(t)
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	return must.Get(jsonschema.UnmarshalJSON(strings.NewReader(text)))(t)
}

// TestJSON_IsAsTheSchemasSay, of real apps in each state of an upgrade.
func TestJSON_IsAsTheSchemasSay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "10ms")
	valid(t, "report.json", s.gracex("upgrade", "--json").out) // no app
	s.start()
	valid(t, "status.json", s.gracex("status", "--json").out)
	valid(t, "report.json", s.expect(control.ExitOK, nil, "upgrade", "--json").out)
	s.write("mode", "crash")
	valid(t, "report.json", s.expect(control.ExitFailed, nil, "upgrade", "--json").out)
	s.app.Await("the outcome", func() bool { return strings.Contains(s.gracex("status").out, " ago: failed") })
	valid(t, "status.json", s.gracex("status", "--json").out)
	must.Do(t, os.Remove(filepath.Join(s.dir, "mode")))
	s.write("probation", "4m")
	s.expect(control.ExitOK, nil, "upgrade", "--json") // to a version with a long probation
	valid(t, "report.json", s.expect(control.ExitOK, nil, "upgrade", "--no-wait", "--json").out)
	valid(t, "status.json", s.gracex("status", "--json").out)
}

// TestJSON_SchemasRefuseWhatIsWrong: a check that nothing fails is none.
func TestJSON_SchemasRefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"status.json":  `{"protocol":1,"pid":"7","program":"/srv/app","generations":[]}`,
		"report.json":  `{"ok":true,"kind":"upgraded","old_pid":7,"old_generation":0,"generation":1,"took_ms":1}`,
		"outcome.json": `{"ok":true,"kind":"upgraded","old_pid":7,"old_generation":0,"generation":1}`,
		"totals.json":  `{"total":{"servers":[{"server":":8080","requests":-1,"accepted":0}]},"ended":{},"processes":[]}`,
		"event.json":   `{"time":"yesterday","step":"ready"}`,
	} {
		if compiled(t, name).Validate(decoded(t, line)) == nil {
			t.Errorf("%s takes %s", name, line)
		}
	}
}

// TestJSON_MadeUp has the fields that a real app has only after much has happened to it.
func TestJSON_MadeUp(t *testing.T) {
	t.Parallel()
	counts := control.Counts{
		Servers: []control.ServerCounts{{Server: "public", Requests: 812, Accepted: 40}}, Refused: 1, ClosedPolitely: 2, ClosedIdle: 3,
		Moved: []control.MovedCounts{{Protocol: control.ProtocolHTTP2, TLS: true, Connections: 3}}, StateBytes: 9,
		Stayed:      []control.StayedCounts{{Protocol: "tls", Reason: "version", Connections: 1}},
		CutRequests: 1, CutConnections: 2, CutHijacked: 3, CutSockets: 4, CutBackground: 5,
		Upgrades: []control.UpgradeCounts{{Outcome: control.KindUpgraded, Count: 2}, {Outcome: control.KindFailed, Reason: control.ReasonExited, Count: 1}},
	}
	counts.UpgradeSeconds.Observe(time.Second, []float64{0.5, 1})
	counts.DrainSeconds.Observe(time.Minute, []float64{0.5, 1})
	counts.RequestSeconds.Observe(time.Millisecond, []float64{0.5, 1})
	totals := control.Totals{
		Since: confirmed.Time, Total: counts, Ended: counts, LastSuccess: confirmed.Time, LastFailure: confirmed.Time,
		Processes: []control.Account{{
			PID: 7, Generation: 1, Version: "v1", State: "current", Started: confirmed.Time, Told: confirmed.Time, Ended: true,
			Open: control.Open{Requests: 1, Connections: 2, Hijacked: 3}, Counts: counts,
		}},
		Missing: []control.Missing{{PID: 6, Version: "v0", Told: confirmed.Time}, {PID: 5}}, MissingCount: 2,
	}
	concluded := confirmed
	concluded.Step, concluded.Attempt, concluded.Context = control.StepConcluded, "0123456789abcdef0123456789abcdef", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	concluded.Outcome = &control.Outcome{
		Kind: control.KindRolledBack, OldPID: 7, NewPID: 8, Generation: 1, OldVersion: "v1", Version: "v2", Release: "2", Took: time.Second,
		Reason: "it ended", NextStart: "the next start gets another program", Stderr: []string{"panic: a bug"}, Warnings: []string{"half a deployment"},
		Left: "einhorn", Exit: "exit status 2",
	}
	probation := confirmed
	probation.Step, probation.Probation, probation.Remaining, probation.Total = control.StepProbation, 3*time.Second, 4, 5
	s, told := newSite(t), make(chan string, 1)
	madeUp(t, s, map[string]http.HandlerFunc{
		control.PathTotals: func(w http.ResponseWriter, _ *http.Request) { must.Do(t, control.WriteJSON(w, totals)) },
		control.PathEvents: telling(told, concluded, probation, confirmed),
	})
	valid(t, "totals.json", s.expect(control.ExitOK, nil, "totals", "--json", "--socket", "made-up.sock").out)
	c, _, _ := s.command("events", "--json", "--socket", "made-up.sock")
	c.Stdout = nil
	out := must.Get(c.StdoutPipe())(t)
	must.Do(t, c.Start())
	in, lines := bufio.NewReader(out), ""
	for range 3 {
		lines += must.Get(in.ReadString('\n'))(t)
	}
	must.Do(t, c.Process.Signal(os.Interrupt))
	_, _ = io.Copy(io.Discard, in)
	_ = c.Wait()
	valid(t, "event.json", lines)
	for _, text := range []string{`"outcome":{"ok":false,`, `"probation_ms":3000`, `"step":"confirmed"`} {
		if !strings.Contains(lines, text) {
			t.Errorf("nothing of %s: %s", text, lines)
		}
	}
}

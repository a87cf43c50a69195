package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// envPrometheus makes the tests fail where there is no Prometheus. Without it, they are skipped there, and if it is 0,
// everywhere.
const envPrometheus = "CORE_TEST_PROMETHEUS"

// program finds one of Prometheus' programs.
func program(t *testing.T, name string) string {
	t.Helper()
	if os.Getenv(envPrometheus) == "0" {
		t.Skip(envPrometheus + " is 0")
	}
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv(envPrometheus) == "" {
		t.Skipf("%v; on Debian, apt-get install prometheus", err)
	}
	must.Do(t, err)
	return path
}

// promtool runs it in the folder, and returns what it says.
func promtool(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "promtool"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestPromtool: Prometheus accepts the files, and the rules do what their tests say.
func TestPromtool(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "rules.yml"},
		{"test", "rules", "rules_test.yml"},
	} {
		if out, err := promtool(t, ".", args...); err != nil || !strings.Contains(out, "SUCCESS") {
			t.Errorf("promtool %q: %v\n%s", args, err, out)
		}
	}
}

// TestPromtool_EachRuleHasATest: an alert that never comes, and one that is always there, fails the tests of the rules.
func TestPromtool_EachRuleHasATest(t *testing.T) {
	t.Parallel()
	tests := must.Get(os.ReadFile("rules_test.yml"))(t)
	all := alerts(t)
	for i, a := range all {
		for what, expr := range map[string]string{"never comes": "(" + a.Expr + ") < 0", "is always there": "(" + a.Expr + ") or vector(1)"} {
			t.Run(a.Alert+" "+what, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				must.Do(t, os.WriteFile(filepath.Join(dir, "rules_test.yml"), tests, 0o644))
				writeRules(t, filepath.Join(dir, "rules.yml"), func(n int) string {
					if n == i {
						return expr
					}
					return all[n].Expr
				})
				if out, err := promtool(t, dir, "test", "rules", "rules_test.yml"); err == nil || !strings.Contains(out, a.Alert) {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// writeRules writes rules.yml with other expressions.
func writeRules(t *testing.T, path string, expr func(n int) string) {
	t.Helper()
	text := string(must.Get(os.ReadFile("rules.yml"))(t))
	for n, a := range alerts(t) {
		head, rest, ok := strings.Cut(text, "- alert: "+a.Alert+"\n")
		before, after, ok2 := strings.Cut(rest, "        expr: ")
		_, after, ok3 := strings.Cut(after, "\n        ") // the next key
		for ok3 && strings.HasPrefix(after, " ") {        // a line more of the expression
			_, after, ok3 = strings.Cut(after, "\n        ")
		}
		if !ok || !ok2 || !ok3 {
			t.Fatalf("%s is not found", a.Alert)
		}
		text = head + "- alert: " + a.Alert + "\n" + before + "        expr: " + string(must.Get(json.Marshal(expr(n)))(t)) + "\n        " + after
	}
	must.Do(t, os.WriteFile(path, []byte(text), 0o644))
}

// TestPromtool_Dashboard: Prometheus understands what the dashboard asks.
func TestPromtool_Dashboard(t *testing.T) {
	t.Parallel()
	var rules strings.Builder
	rules.WriteString("groups: [{name: dashboard, rules: [\n")
	for i, query := range readDashboard(t).queries() {
		fmt.Fprintf(&rules, "{record: %q, expr: %s},\n", fmt.Sprintf("query:%d", i), must.Get(json.Marshal(query))(t))
	}
	rules.WriteString("]}]\n")
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	must.Do(t, os.WriteFile(path, []byte(rules.String()), 0o644))
	if out, err := promtool(t, ".", "check", "rules", path); err != nil || !strings.Contains(out, "SUCCESS") {
		t.Errorf("%v\n%s\n%s", err, out, &rules)
	}
}

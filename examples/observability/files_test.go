package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/promx"
)

// alert is one of rules.yml.
type alert struct {
	Alert, Expr string
	Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	must.Do(t, yaml.Unmarshal(must.Get(os.ReadFile("rules.yml"))(t), &file))
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there is no rule")
	}
	return all
}

// dashboard is what the tests read of dashboard.json.
type dashboard struct {
	Panels []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, LegendFormat string }
	}
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct {
		List []struct {
			Name  string
			Query any
		}
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	must.Do(t, json.Unmarshal(must.Get(os.ReadFile("dashboard.json"))(t), &d))
	return d
}

// queries are the expressions of the dashboard, with values for what Grafana puts in.
func (d dashboard) queries() (all []string) {
	values := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$job", ".*", "$instance", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all = append(all, values.Replace(target.Expr))
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, values.Replace(a.Expr))
	}
	return all
}

// labels are those of a metric, with the values that are known.
type labels map[string][]string

// metrics are those of promx, by the names under which Prometheus has them.
func metrics(t *testing.T) map[string]labels {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	servers := control.Counts{Servers: []control.ServerCounts{{Server: ""}}} // whose names are the program's
	c := promx.NewCollector(promx.WithSource(func() (control.Totals, error) { return control.Totals{Total: servers}, nil }))
	must.Do(t, reg.Register(c))
	all := map[string]labels{}
	for _, f := range must.Get(reg.Gather())(t) {
		has := labels{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				has[l.GetName()] = append(has[l.GetName()], l.GetValue())
			}
			if m.GetHistogram() != nil {
				all[f.GetName()+"_sum"], all[f.GetName()+"_count"] = has, has
				all[f.GetName()+"_bucket"] = labels{"le": nil}
			}
		}
		if f.GetMetric()[0].GetHistogram() == nil {
			all[f.GetName()] = has
		}
	}
	return all
}

// free are labels whose values nobody knows before.
var free = []string{"server", "version", "generation", "goversion", "le"}

var (
	selector = regexp.MustCompile(`\b(gracex_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
	template = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}`)
)

// check checks that a text names nothing but what promx has, and returns the metrics that it names.
func check(t *testing.T, where, text string, has map[string]labels) (named []string) {
	t.Helper()
	own := []string{"instance", "job", "le"} // Prometheus' own
	for _, l := range has {
		for name := range l {
			own = append(own, name)
		}
	}
	for _, m := range selector.FindAllStringSubmatch(text, -1) {
		of, ok := has[m[1]]
		if !ok {
			t.Errorf("%s: %s is no metric", where, m[1])
			continue
		}
		named = append(named, m[1])
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			known, ok := of[l[1]]
			if slices.Contains([]string{"instance", "job"}, l[1]) {
				continue
			}
			if !ok {
				t.Errorf("%s: %s has no label %s", where, m[1], l[1])
			}
			for value := range strings.SplitSeq(l[3], "|") {
				if !slices.Contains(free, l[1]) && !slices.Contains(known, value) {
					t.Errorf("%s: %s has no %s=%q", where, m[1], l[1], value)
				}
			}
		}
	}
	for _, list := range grouping.FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(list[1], ", ") {
			if !slices.Contains(own, name) {
				t.Errorf("%s: no metric has the label %s", where, name)
			}
		}
	}
	for _, name := range template.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(own, name[1]) {
			t.Errorf("%s: no metric has the label %s", where, name[1])
		}
	}
	return named
}

// TestNames: the rules and the dashboard name only what promx has, and the dashboard names all of it.
func TestNames(t *testing.T) {
	t.Parallel()
	has := metrics(t)
	for _, a := range alerts(t) {
		if named := check(t, a.Alert, a.Expr, has); len(named) == 0 {
			t.Errorf("%s names no metric", a.Alert)
		}
		for _, text := range a.Annotations {
			check(t, a.Alert, text, has)
		}
	}
	check(t, "rules_test.yml", string(must.Get(os.ReadFile("rules_test.yml"))(t)), has)

	d, shown := readDashboard(t), []string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			shown = append(shown, check(t, p.Title, target.Expr+" "+target.LegendFormat, has)...)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
	}
	for _, a := range d.Annotations.List {
		check(t, "annotations", a.Expr, has)
	}
	for _, v := range d.Templating.List {
		check(t, v.Name, string(must.Get(json.Marshal(v.Query))(t)), has)
	}
	for name := range has {
		if !slices.Contains(shown, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// TestDashboard_Layout: no panel lies on another one, and each has a number of its own.
func TestDashboard_Layout(t *testing.T) {
	t.Parallel()
	type place struct{ x, y int }
	taken, ids := map[place]string{}, map[int]string{}
	for _, p := range readDashboard(t).Panels {
		if other, ok := ids[p.ID]; ok || p.ID == 0 {
			t.Errorf("%q and %q have the number %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		at := p.GridPos
		if at.X < 0 || at.W < 1 || at.H < 1 || at.X+at.W > 24 {
			t.Errorf("%q is outside: %+v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, ok := taken[place{x, y}]; ok {
					t.Fatalf("%q lies on %q", p.Title, other)
				}
				taken[place{x, y}] = p.Title
			}
		}
	}
}

package promx

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// page has each metric in a table, and the labels that are known.
const page = "../docs/metrics.md"

// TestPage_Metrics: the table has each metric, with its type and its labels, and no other one.
func TestPage_Metrics(t *testing.T) {
	t.Parallel()
	type kind struct{ kind, labels string }
	got := map[string]kind{}
	for _, f := range gather(t, telling(example())).families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		slices.Sort(labels)
		got[f.GetName()] = kind{strings.ToLower(f.GetType().String()), strings.Join(labels, ", ")}
	}
	text := string(must.Get(os.ReadFile(page))(t))
	listed := 0
	for _, row := range regexp.MustCompile("(?m)^\\| `(gracex_\\w+)` \\| (\\w+) \\| ([^|]*?) ?\\| \\S.* \\|$").FindAllStringSubmatch(text, -1) {
		labels := slices.DeleteFunc(strings.Split(row[3], ", "), func(l string) bool { return l == "" })
		slices.Sort(labels)
		listed++
		if is := (kind{row[2], strings.Join(labels, ", ")}); is != got[row[1]] {
			t.Errorf("the page says of %s %v, and it is %v", row[1], is, got[row[1]])
		}
	}
	if listed != len(got) || len(got) != len(descriptions) {
		t.Errorf("the page has %d metrics, a scrape %d, and %d are described", listed, len(got), len(descriptions))
	}
	for _, name := range regexp.MustCompile(`gracex_\w*\w`).FindAllString(text, -1) {
		if _, ok := got[name]; !ok {
			t.Errorf("the page names %s, which is no metric", name)
		}
	}
}

// TestPage_Labels: the tables have the words that are known beforehand, and no others.
func TestPage_Labels(t *testing.T) {
	t.Parallel()
	text := string(must.Get(os.ReadFile(page))(t))
	for heading, known := range map[string][][]string{"### Upgrades": knownUpgrades, "### Connections that stay": knownStayed} {
		_, table, ok := strings.Cut(text, heading+"\n")
		table, _, _ = strings.Cut(table, "\n#")
		var got, want []string
		word := regexp.MustCompile("`(\\w+)`")
		for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)`.*? \\| (.*) \\|$").FindAllStringSubmatch(table, -1) {
			if row[2] == "`reason`" {
				continue // the head
			}
			reasons := word.FindAllStringSubmatch(row[2], -1)
			if len(reasons) == 0 && strings.HasPrefix(row[2], "empty") {
				got = append(got, row[1]+" ")
			}
			for _, reason := range reasons {
				got = append(got, row[1]+" "+reason[1])
			}
		}
		for _, labels := range known {
			want = append(want, strings.Join(labels, " "))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !ok || !slices.Equal(got, want) {
			t.Errorf("%s\nhas  %q,\nwant %q", heading, got, want)
		}
	}
	for _, words := range [][][]string{knownStates, knownMoved} {
		for _, labels := range words {
			if !strings.Contains(text, "`"+labels[0]+"`") {
				t.Errorf("the page does not have %s", labels[0])
			}
		}
	}
	for _, reason := range []string{closedPolitely, closedIdle} {
		if !strings.Contains(text, "`"+reason+"`") {
			t.Errorf("the page does not have %s", reason)
		}
	}
}

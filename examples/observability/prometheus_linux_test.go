package main

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// scrapeEvery is how often the Prometheus of the tests asks, and how long it waits for the answer: it does not wait longer
// than that.
const scrapeEvery = 500 * time.Millisecond

// prom is a real Prometheus that scrapes the example.
type prom struct {
	*proctest.Program
	t   *testing.T
	url string
}

// startPrometheus starts one on the files of this folder, with another target and less time between two scrapes.
func startPrometheus(t *testing.T, target string) *prom {
	t.Helper()
	path, dir, addr := program(t, "prometheus"), t.TempDir(), proctest.FreeAddr(t)
	rules, every := must.Get(filepath.Abs("rules.yml"))(t), scrapeEvery.String()
	config := strings.NewReplacer(
		"scrape_interval: 15s", "scrape_interval: "+every+"\n  scrape_timeout: "+every,
		"evaluation_interval: 15s", "evaluation_interval: "+every,
		"- rules.yml", "- "+rules,
		"127.0.0.1:9102", target,
	).Replace(string(must.Get(os.ReadFile("prometheus.yml"))(t)))
	file := filepath.Join(dir, "prometheus.yml")
	must.Do(t, os.WriteFile(file, []byte(config), 0o644))
	cmd := exec.Command(path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+addr, "--log.level=warn")
	p := &prom{Program: proctest.Start(t, cmd), t: t, url: "http://" + addr}
	p.Await("Prometheus is ready", func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// series is what Prometheus knows of one.
type series struct {
	labels map[string]string
	values []float64
	times  []float64 // in seconds since 1970
}

// name is how Prometheus writes it, without what all have.
func (s series) name() string {
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(s.labels)) {
		if !slices.Contains([]string{"__name__", "instance", "job"}, name) && s.labels[name] != "" {
			labels = append(labels, name+"="+strconv.Quote(s.labels[name]))
		}
	}
	return s.labels["__name__"] + "{" + strings.Join(labels, ",") + "}"
}

// query asks for what an expression is at a time, or now for a zero one.
func (p *prom) query(expr string, at time.Time) (all []series) {
	p.t.Helper()
	form := url.Values{"query": {expr}}
	if !at.IsZero() {
		form.Set("time", at.Format(time.RFC3339Nano))
	}
	resp := must.Get(http.PostForm(p.url+"/api/v1/query", form))(p.t)
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct {
			ResultType string
			Result     []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	body := must.Get(io.ReadAll(resp.Body))(p.t)
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		p.t.Fatalf("%s: %v\n%s", expr, err, body)
	}
	for _, r := range answer.Data.Result {
		s := series{labels: r.Metric}
		for _, v := range append(r.Values, r.Value) {
			if v[0] == nil {
				continue
			}
			s.times = append(s.times, v[0].(float64))
			s.values = append(s.values, must.Get(strconv.ParseFloat(v[1].(string), 64))(p.t))
		}
		all = append(all, s)
	}
	return all
}

// value is that of the only series, at a time.
func (p *prom) value(expr string, at time.Time) float64 {
	p.t.Helper()
	all := p.query(expr, at)
	if len(all) != 1 {
		p.t.Fatalf("%s: %v", expr, all)
	}
	return all[0].values[0]
}

// scraped waits for a scrape that begins after now and is answered, and returns when it began.
func (p *prom) scraped() (at time.Time) {
	p.t.Helper()
	now := float64(time.Now().UnixMilli()) / 1e3
	var last float64
	p.Await("the next scrape", func() bool {
		time.Sleep(20 * time.Millisecond) // each look is a query
		if told := p.query(`timestamp(gracex_generation)`, time.Time{}); len(told) > 0 {
			last = told[0].values[0]
		}
		return last > now
	})
	return time.UnixMilli(int64(last*1e3 + .5))
}

// own is the sum of a counter of Prometheus itself.
func (p *prom) own(name string, labels ...string) (sum float64) {
	p.t.Helper()
	resp := must.Get(http.Get(p.url + "/metrics"))(p.t)
	defer resp.Body.Close()
	found := false
	for line := range strings.Lines(string(must.Get(io.ReadAll(resp.Body))(p.t))) {
		base, _, _ := strings.Cut(line, "{")
		if base != name || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(line, l) }) {
			continue
		}
		found = true
		sum += must.Get(strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndex(line, " "):]), 64))(p.t)
	}
	if !found {
		p.t.Fatalf("Prometheus has no %s %q", name, labels)
	}
	return sum
}

// compare compares what Prometheus has at a time with what is expected of each metric, for all of its series. A series
// that is not expected has to be 0.
func (p *prom) compare(at time.Time, want map[string]float64) {
	p.t.Helper()
	metrics := map[string]bool{}
	for name := range want {
		base, _, _ := strings.Cut(name, "{")
		metrics[base] = true
	}
	got := map[string]float64{}
	for base := range metrics {
		for _, s := range p.query(base, at) {
			got[s.name()] = s.values[0]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			p.t.Errorf("%s is %v in Prometheus, want %v", name, got[name], want[name])
		}
	}
	for name, v := range want {
		if _, ok := got[name]; !ok {
			p.t.Errorf("%s is not in Prometheus, want %v", name, v)
		}
	}
}

// neverDown checks every stored sample: no counter of the service goes down. It returns the counters.
func (p *prom) neverDown(at time.Time) (counters []series) {
	p.t.Helper()
	for name := range metrics(p.t) {
		if !regexp.MustCompile("_(total|bucket|sum|count)$").MatchString(name) {
			continue
		}
		for _, s := range p.query("resets("+name+"[1h])", at) {
			if s.values[0] != 0 {
				p.t.Errorf("Prometheus takes %s%s for started anew %v times", name, s.name(), s.values[0])
			}
		}
		all := p.query(name+"[1h]", at)
		if len(all) == 0 {
			p.t.Errorf("%s has no sample", name)
		}
		for _, s := range all {
			for i := 1; i < len(s.values); i++ {
				if s.values[i] < s.values[i-1] {
					p.t.Errorf("%s goes from %v to %v at %v", s.name(), s.values[i-1], s.values[i], time.UnixMilli(int64(s.times[i]*1e3)).UTC())
				}
			}
		}
		counters = append(counters, all...)
	}
	return counters
}

// scrapes are those that a Prometheus has made.
type scrapes struct {
	all      int
	tooLate  int // of them: Prometheus did not wait any longer
	answered []float64
}

// neverFailed checks that each scrape was answered, and that each of the series is in each of them from its first one on.
// A scrape for which Prometheus has not waited long enough is none that has failed: the machine may be busy.
func (p *prom) neverFailed(at time.Time, all []series) (n scrapes) {
	p.t.Helper()
	up, took := p.query("up[1h]", at), p.query("scrape_duration_seconds[1h]", at)
	if len(up) != 1 || len(took) != 1 || !slices.Equal(up[0].times, took[0].times) {
		p.t.Fatalf("one target is scraped, and not %v, %v", up, took)
	}
	n.all = len(up[0].values)
	for i, v := range up[0].values {
		switch {
		case v == 1:
			n.answered = append(n.answered, up[0].times[i])
		case took[0].values[i] >= scrapeEvery.Seconds():
			n.tooLate++
		default:
			p.t.Errorf("the scrape at %v has failed after %v s", up[0].times[i], took[0].values[i])
		}
	}
	for _, s := range all {
		first, _ := slices.BinarySearch(n.answered, s.times[0])
		if want := len(n.answered) - first; len(s.values) != want {
			p.t.Errorf("%s is in %d of the %d scrapes after its first one", s.name(), len(s.values), want)
		}
	}
	return n
}

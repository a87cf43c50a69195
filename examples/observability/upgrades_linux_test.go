package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/examples/internal/exampletest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

func TestMain(m *testing.M) { exampletest.Main(m, main) }

// service is the example under a real Prometheus, and its operator.
type service struct {
	*exampletest.Program
	t       *testing.T
	file    string // from which it is started
	args    []string
	control *control.Client
	metrics string // where Prometheus asks
	prom    *prom
	alone   int // how many processes there are outside an upgrade
}

// startService starts the example in a mode of core.EnvMode, and Prometheus. A probation ends when the operator says so.
func startService(t *testing.T, mode string) *service {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "obs"))(t)
	t.Cleanup(func() { must.Do(t, os.RemoveAll(dir)) })
	s := &service{t: t, file: filepath.Join(dir, "server"), metrics: proctest.FreeAddr(t)}
	proctest.Install(t, s.file)
	socket := filepath.Join(dir, "control.sock")
	s.control = control.Dial(socket)
	s.Program = exampletest.StartFile(t, "/usr/bin/env", func(addr, pidfile string) []string {
		s.args = []string{"-addr", addr, "-pidfile", pidfile, "-control", socket, "-metrics", s.metrics, "-drain", "40s", "-probation", "1h"}
		return append([]string{core.EnvMode + "=" + mode, s.file}, s.args...)
	})
	s.alone = 1
	if mode == "supervised" {
		s.alone++
	}
	s.prom = startPrometheus(t, s.metrics)
	s.prom.scraped()
	return s
}

// current is the current process, 0 if none answers. The pid file names the supervisor, if there is one.
func (s *service) current() int {
	status, err := s.control.Status(s.t.Context())
	if err != nil {
		return 0
	}
	return status.PID
}

// answers waits until the current process has answered a client of each run.
func (s *service) answers(runs ...*load.Run) {
	s.t.Helper()
	pid := strconv.Itoa(s.current())
	for _, run := range runs {
		s.Await("process "+pid+" answers a client", func() bool {
			for by := range run.Snapshot().Served {
				if by.PID == pid {
					return true
				}
			}
			return false
		})
	}
}

// upgrade upgrades. On probation it waits for a scrape, and has decide end it. A scrape comes after the outcome, too.
func (s *service) upgrade(start control.StartOptions, decide func(context.Context) error) control.Outcome {
	s.t.Helper()
	probation := make(chan struct{}, 1)
	type answer struct {
		control.Outcome
		err error
	}
	outcome := make(chan answer, 1)
	opts := control.UpgradeOptions{Start: start, Events: func(e control.Event) {
		if e.Step == control.StepProbation {
			probation <- struct{}{}
		}
	}}
	go func() {
		o, err := s.control.Upgrade(s.t.Context(), opts)
		outcome <- answer{o, err}
	}()
	select {
	case <-probation:
		s.prom.scraped()
		must.Do(s.t, decide(s.t.Context()))
	case a := <-outcome: // it came to no probation
		outcome <- a
	case <-time.After(proctest.Patience):
		s.t.Fatal("the upgrade has no end")
	}
	select {
	case a := <-outcome:
		must.Do(s.t, a.err)
		s.prom.scraped()
		return a.Outcome
	case <-time.After(proctest.Patience):
		s.t.Fatal("the upgrade has no end")
		panic("unreachable")
	}
}

// good upgrades, and waits for a client's answer from the new process.
func (s *service) good(runs []*load.Run) {
	s.t.Helper()
	old := s.current()
	if o := s.upgrade(control.StartOptions{}, s.control.Promote); o.Kind != control.KindUpgraded || s.current() == old {
		s.t.Fatalf("upgraded: %+v", o)
	}
	s.answers(runs...)
}

// failed upgrades to a new version that does not become ready.
func (s *service) failed(start control.StartOptions) {
	s.t.Helper()
	old := s.current()
	never := func(context.Context) error { s.t.Error("the new version was ready"); return nil }
	if o := s.upgrade(start, never); o.Kind != control.KindFailed || s.current() != old {
		s.t.Fatalf("failed: %+v", o)
	}
}

// rolledBack upgrades, and takes the service back.
func (s *service) rolledBack(runs []*load.Run) {
	s.t.Helper()
	old := s.current()
	back := func(ctx context.Context) error {
		if s.current() == old {
			s.t.Error("the new process is not current")
		}
		s.answers(runs...)
		return s.control.Rollback(ctx, "a test")
	}
	if o := s.upgrade(control.StartOptions{}, back); o.Kind != control.KindRolledBack {
		s.t.Fatalf("rolled back: %+v", o)
	}
	s.Await("the old process is current", func() bool { return s.current() == old })
	s.answers(runs...)
}

// settled waits until the current process is alone and a scrape has begun after that.
func (s *service) settled() time.Time {
	s.t.Helper()
	s.Await("one process is left", func() bool { return len(s.Live()) == s.alone })
	var at time.Time
	s.Await("Prometheus knows it", func() bool {
		at = s.prom.scraped()
		return s.prom.value("sum(gracex_generations)", at) == 1
	})
	return at
}

// logged are the ledgers of the processes that have ended, as the log has them, and that of the current one.
func (s *service) logged() (sum map[string]float64) {
	s.t.Helper()
	sum = map[string]float64{}
	figure := regexp.MustCompile(`ledger\.(\w+)=(\d+)`)
	for line := range strings.Lines(s.Log.String()) {
		if !strings.Contains(line, `msg="generation ended"`) {
			continue
		}
		sum["ended"]++
		for _, m := range figure.FindAllStringSubmatch(line, -1) {
			sum[m[1]] += must.Get(strconv.ParseFloat(m[2], 64))(s.t)
		}
	}
	var current map[string]any
	must.Do(s.t, json.Unmarshal(must.Get(s.control.Ledger(s.t.Context()))(s.t), &current))
	for name, v := range current {
		if n, ok := v.(float64); ok {
			sum[name] += n
		}
	}
	return sum
}

// TestPrometheus: what a Prometheus has after upgrades under load, good ones and others, is what the clients and the
// operator have counted. Nothing was missed, nothing counted twice, and no counter has ever gone down.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	const good, bad = 20, 3
	s := startService(t, "self")
	cfg := load.Config{Addr: s.Addr, Clients: 6, Fresh: 2, Think: 5 * time.Millisecond, Timeout: proctest.Patience}
	slow := cfg
	slow.Path = "/?d=20ms"
	runs := []*load.Run{load.Start(cfg), load.Start(slow)}
	for _, run := range runs {
		defer run.Stop()
	}
	began := time.Now()
	s.answers(runs...)
	for i := range good {
		s.good(runs)
		if i%7 != 0 {
			continue
		}
		switch i / 7 { // each of these fails in another way
		case 0:
			s.failed(control.StartOptions{Args: append(slices.Clone(s.args), "-no-such-flag")})
		case 1:
			s.failed(control.StartOptions{Args: append(slices.Clone(s.args), "-metrics", "127.0.0.1:nonsense")})
		case 2:
			must.Do(t, os.Rename(s.file, s.file+".away"))
			s.failed(control.StartOptions{})
			must.Do(t, os.Rename(s.file+".away", s.file))
		}
		s.rolledBack(runs)
	}
	ended := time.Now()
	var clients load.Result
	for _, run := range runs {
		r := run.Stop()
		if r.Failed != 0 {
			t.Errorf("requests have failed: %v", r)
		}
		clients.Merge(r)
	}
	at := s.settled()
	scrapes := s.prom.neverFailed(at, s.prom.neverDown(at))
	answered := s.answeredScrapes(at, scrapes)
	log := s.logged()
	t.Logf("%d requests, %d connections, %d scrapes, %d too late; the ledgers: %v", clients.Requests, clients.Connects, scrapes.all, scrapes.tooLate, log)
	if lost := must.Get(s.control.Totals(t.Context(), 0))(t).Missing; len(lost) > 0 {
		t.Errorf("these have ended without a last word: %+v", lost)
	}

	const public, own = `{server="public"}`, `{server="metrics"}`
	s.prom.compare(at, map[string]float64{
		"gracex_requests_total" + public:             float64(clients.Requests),
		"gracex_connections_accepted_total" + public: float64(clients.Connects),
		"gracex_requests_total" + own:                answered,
		"gracex_connections_accepted_total" + own:    s.prom.own("net_conntrack_dialer_conn_established_total", `dialer_name="shop"`),

		`gracex_upgrades_total{outcome="upgraded"}`:                      good,
		`gracex_upgrades_total{outcome="failed",reason="exited"}`:        1,
		`gracex_upgrades_total{outcome="failed",reason="said_failed"}`:   1,
		`gracex_upgrades_total{outcome="failed",reason="not_started"}`:   1,
		`gracex_upgrades_total{outcome="rolled_back",reason="operator"}`: bad,
		"gracex_upgrade_duration_seconds_count{}":                        good + 2*bad,
		"gracex_drain_duration_seconds_count{}":                          log["ended"],

		"gracex_requests_cut_total{}":             0,
		"gracex_connections_cut_total{}":          0,
		"gracex_hijacked_connections_cut_total{}": 0,
		"gracex_sockets_cut_total{}":              0,
		"gracex_background_cut_total{}":           0,
		"gracex_missing_processes_total{}":        0,

		`gracex_connections_moved_total{protocol="http1",tls="false"}`:       log["moved"],
		"gracex_connections_refused_total{}":                                 log["refused"],
		`gracex_connections_closed_total{reason="last_answer"}`:              log["closed_politely"],
		`gracex_connections_closed_total{reason="idle"}`:                     log["closed_idle"],
		`gracex_connections_stayed_total{protocol="http2",reason="streams"}`: 0,

		"gracex_generation{}":                      good,
		`gracex_generations{state="current"}`:      1,
		`gracex_open_requests{state="current"}`:    1, // the scrape
		`gracex_open_connections{state="current"}`: 1, // on which it comes
	})
	if moved := log["moved"]; moved < good {
		t.Errorf("%v connections have moved in %d upgrades", moved, good)
	}
	for name, last := range map[string]bool{
		"gracex_last_upgrade_success_timestamp_seconds": true, "gracex_last_upgrade_failure_timestamp_seconds": true,
		"gracex_start_timestamp_seconds": false,
	} {
		v := s.prom.value(name, at)
		if when := time.UnixMicro(int64(v * 1e6)); when.Before(began) == last || when.After(ended) {
			t.Errorf("%s is %v, and the upgrades were from %v to %v", name, when, began, ended)
		}
	}
	// The test would see a counter that starts anew: those of the process do.
	if n := s.prom.value("changes(process_start_time_seconds[1h])", at); n < good/2 {
		t.Errorf("only %v times another process was scraped", n)
	}
	s.alerts(at, "GracexFlapping", "GracexUpgradeFailed", "GracexUpgradeRolledBack")
	for _, query := range readDashboard(t).queries() {
		if len(s.prom.query(query, at)) == 0 {
			t.Errorf("the dashboard shows nothing for %s", query)
		}
	}
}

// TestPrometheus_Killed: when the current process of a supervised service is killed under load, the counters go on from
// what Prometheus has heard last. What the process counted after that is in none, and one metric says so.
func TestPrometheus_Killed(t *testing.T) {
	t.Parallel()
	s := startService(t, "supervised")
	cfg := load.Config{Addr: s.Addr, Clients: 4, Fresh: 4, Think: 5 * time.Millisecond, Timeout: proctest.Patience}
	requests := func(at time.Time) float64 { return s.prom.value(`gracex_requests_total{server="public"}`, at) }
	run := load.Start(cfg)
	defer run.Stop()
	s.good([]*load.Run{run})
	if r := run.Stop(); r.Failed != 0 {
		t.Errorf("requests have failed: %v", r)
	}
	before := requests(s.settled())
	const kills = 2
	for i := range kills {
		run := load.Start(cfg)
		defer run.Stop()
		s.answers(run)
		last := s.prom.scraped()
		if told := requests(last); told <= before {
			t.Errorf("%v requests, as before", told)
		}
		pid := s.current()
		s.Program.Program.Signal(pid, syscall.SIGKILL)
		s.Await("another process is current", func() bool { now := s.current(); return now != pid && now != 0 })
		s.answers(run)
		answered := run.Stop()
		at := s.settled()
		after := requests(at)
		if told := requests(last); after <= told || after > before+float64(answered.Requests) {
			t.Errorf("%v requests after %v, of which %v were told before the kill; the clients: %v", after, before, told, answered)
		}
		before = after
		if n := s.prom.value("gracex_missing_processes_total", at); n != float64(i+1) {
			t.Errorf("%v processes are missing after %d kills", n, i+1)
		}
	}
	at := s.settled()
	s.prom.neverDown(at)
	s.prom.compare(at, map[string]float64{`gracex_upgrades_total{outcome="upgraded"}`: 1, "gracex_upgrade_duration_seconds_count{}": 1})
	s.alerts(at, "GracexProcessMissing")
}

// answeredScrapes are those that the service has to have counted. The scrape that asks for it is not done. One for which
// Prometheus has not waited may never have come to a handler.
func (s *service) answeredScrapes(at time.Time, n scrapes) float64 {
	s.t.Helper()
	most := float64(n.all - 1)
	if got := s.prom.value(`gracex_requests_total{server="metrics"}`, at); n.tooLate > 0 && got >= most-float64(n.tooLate) && got < most {
		return got
	}
	return most
}

// alerts checks which alerts there are.
func (s *service) alerts(at time.Time, want ...string) {
	s.t.Helper()
	var got []string
	for _, a := range s.prom.query(`ALERTS{alertstate="firing"}`, at) {
		got = append(got, a.labels["alertname"])
	}
	slices.Sort(got)
	if !slices.Equal(slices.Compact(got), want) {
		s.t.Errorf("the alerts are %v, want %v", got, want)
	}
}

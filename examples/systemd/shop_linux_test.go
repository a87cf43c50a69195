package systemd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/examples/internal/deploytest"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// envDeploys is how many times TestDeploys deploys. Without it the test is skipped: it takes most of a minute to build
// the program's SQLite.
const envDeploys = "CORE_TEST_DEPLOYS"

const (
	shopDir  = "../shop"
	shopUnit = shopDir + "/gracex-shop.service"
)

// shop is examples/shop as a service of a systemd.
type shop struct {
	*service
	metrics, profiles string // its other addresses
	orders            int    // that the test itself has placed
}

// startShop starts the first release.
func startShop(t *testing.T) *shop {
	t.Helper()
	m := startManager(t, "")
	s := &shop{
		service: &service{manager: m, name: "gracex-shop", addr: proctest.FreeAddr(t)},
		metrics: proctest.FreeAddr(t), profiles: proctest.FreeAddr(t),
	}
	s.install("gracex", func(path string) { proctest.Build(t, path, deploytest.Command) })
	shared := filepath.Join(s.app, "shared")
	must.Do(t, os.Mkdir(shared, 0o755))
	owner := must.Get(user.Lookup("www-data"))(t)
	must.Do(t, os.Chown(shared, must.Get(strconv.Atoi(owner.Uid))(t), must.Get(strconv.Atoi(owner.Gid))(t)))
	s.release(1)
	s.unit(s.name+".service", string(must.Get(os.ReadFile(shopUnit))(t)))
	if out := s.MustInside("systemd-analyze", "verify", "--man=no", filepath.Join(s.units, s.name+".service")); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	s.unit(s.name+".service.d/test.conf", fmt.Sprintf(`[Service]
Environment="ARGS=-db /opt/gracex-example/shared/shop.db -addr %s -metrics %s -pprof %s -probation 200ms"
StandardOutput=append:%s
StandardError=append:%[4]s
`, s.addr, s.metrics, s.profiles, s.log))
	s.must("daemon-reload")
	s.must("start", s.name)
	t.Cleanup(func() {
		if t.Failed() && s.show(s.name, "ActiveState") == "active" {
			t.Logf("the goroutines of the main process:\n%s", s.get(s.profiles, "/debug/pprof/goroutine?debug=2"))
		}
	})
	s.begun()
	s.orders++
	return s
}

// release adds a release with templates of its own, and makes it the current one.
func (s *shop) release(n int) {
	s.t.Helper()
	dir := filepath.Join(s.app, "releases", strconv.Itoa(n))
	must.Do(s.t, os.MkdirAll(filepath.Join(dir, "templates"), 0o755))
	proctest.BuildModule(s.t, filepath.Join(dir, "shop"), shopDir)
	page := string(must.Get(os.ReadFile(shopDir + "/templates/index.html"))(s.t))
	page = strings.Replace(page, "Release 1 ", fmt.Sprintf("Release %d ", n), 1)
	must.Do(s.t, os.WriteFile(filepath.Join(dir, "templates", "index.html"), []byte(page), 0o644))
	s.flip(strconv.Itoa(n))
}

// reload upgrades the shop while one of its jobs runs, and checks that the generation serves on every port.
func (s *shop) reload(generation int) {
	s.t.Helper()
	pid := s.show(s.name, "MainPID")
	proctest.Await(s.t, "a job of process "+pid+" runs", func() bool {
		jobs := s.jobs()
		return len(jobs) > 0 && strconv.Itoa(jobs[len(jobs)-1].PID) == pid && jobs[len(jobs)-1].Ended == ""
	})
	s.must("reload", s.name)
	s.serves(strconv.Itoa(generation))
	s.orders++
	want := fmt.Sprintf("\nshop_generation %d\n", generation)
	if text := s.get(s.metrics, "/metrics"); !strings.Contains(text, want) {
		s.t.Errorf("no%sin the metrics:\n%s", want, text)
	}
	if text := s.get(s.profiles, "/debug/pprof/cmdline"); !strings.Contains(text, "/shop") {
		s.t.Errorf("the command line is %q", text)
	}
}

// get asks once, over a connection of its own.
func (s *shop) get(addr, path string) string {
	s.t.Helper()
	cfg := load.Config{Addr: addr, Method: http.MethodGet, Path: path, Timeout: proctest.Patience}
	a := must.Get(load.Ask(cfg, ""))(s.t)
	if a.Status != http.StatusOK {
		s.t.Errorf("%s: status %d: %s", path, a.Status, a.Body)
	}
	return a.Body
}

// says checks how the page begins that the service answers with.
func (s *shop) says(release int, greeting string) {
	s.t.Helper()
	want := fmt.Sprintf("Release %d says %s: ", release, greeting)
	if page := s.get(s.addr, "/"); !strings.Contains(page, want) {
		s.t.Errorf("the page is\n%swant %q", page, want)
	}
}

// job is a row of the table jobs.
type job struct {
	ID, PID, Others int
	Begun, Ended    string
}

func (s *shop) jobs() (all []job) {
	s.t.Helper()
	must.Do(s.t, json.Unmarshal([]byte(s.get(s.addr, "/jobs")), &all))
	return all
}

// checkJobs checks that each job has begun after the end of the one before, and that so many processes had one.
func (s *shop) checkJobs(processes int) {
	s.t.Helper()
	jobs, pids := s.jobs(), map[int]bool{}
	for i, j := range jobs {
		pids[j.PID] = true
		if j.Others != 0 || i > 0 && (jobs[i-1].Ended == "" || j.Begun < jobs[i-1].Ended) {
			s.t.Errorf("jobs overlap: %+v, and before it %+v", j, jobs[max(i-1, 0)])
		}
	}
	if len(pids) < processes { // the last one can have had one, too
		s.t.Errorf("%d processes had a job, want %d", len(pids), processes)
	}
	s.t.Logf("%d jobs of %d processes", len(jobs), len(pids))
}

// scrape asks for a page again and again, over a kept connection and over new ones.
func scrape(t *testing.T, addr, path string) *load.Run {
	t.Helper()
	run := load.Start(load.Config{
		Addr: addr, Method: http.MethodGet, Path: path, Any: true, Clients: 1, Fresh: 1,
		Think: 10 * time.Millisecond, Timeout: proctest.Patience,
	})
	t.Cleanup(func() { run.Stop() })
	return run
}

// TestDeploys: a service with the usual parts is deployed again and again under load, then its environment changes. No
// request and no scrape fails, no order is lost, jobs do not overlap, each release has its own templates, and streams
// of events end with a goodbye.
func TestDeploys(t *testing.T) {
	t.Parallel()
	if os.Getenv(envDeploys) == "" {
		t.Skipf("%s says how many deploys; make deploys sets it", envDeploys)
	}
	deploys := must.Get(strconv.Atoi(os.Getenv(envDeploys)))(t)
	s := startShop(t)
	s.says(1, "hello")
	orders := deploytest.Load(t, s.addr)
	scrapes := []*load.Run{scrape(t, s.metrics, "/metrics"), scrape(t, s.profiles, "/debug/pprof/cmdline")}
	listener := listen(t, s.addr)
	for n := range deploys {
		s.release(n + 2)
		s.reload(n + 1)
		s.says(n+2, "hello")
		must.Do(t, os.RemoveAll(filepath.Join(s.app, "releases", strconv.Itoa(n+1))))
	}

	s.unit(s.name+".service.d/environment.conf", "[Service]\nEnvironment=\"GREETING=good evening\"\n")
	s.must("daemon-reload")
	s.says(deploys+1, "hello")
	s.reload(deploys + 1)
	s.says(deploys+1, "good evening")

	deploytest.StopLoad(t, orders)
	for _, run := range scrapes {
		deploytest.StopLoad(t, run)
	}
	s.orders += orders.Stop().Requests
	s.checkCounts()
	s.checkJobs(deploys + 1)
	listener.leave()
	s.must("stop", s.name)
	s.stopped()
	listener.check(deploys + 2)
	if left, _ := filepath.Glob(filepath.Join(s.app, "shared", "*-wal")); left != nil {
		t.Errorf("the last process has not closed the database: %q", left)
	}
}

// checkCounts checks that the database has what clients and jobs were told that it has.
func (s *shop) checkCounts() {
	s.t.Helper()
	proctest.Await(s.t, "the last job is counted", func() bool {
		ended := 0
		for _, j := range s.jobs() {
			if j.Ended != "" {
				ended++
			}
		}
		page := s.get(s.addr, "/")
		if want := fmt.Sprintf(": %d orders, ", s.orders); !strings.Contains(page, want) {
			s.t.Fatalf("the page is\n%swant %q", page, want)
		}
		return strings.Contains(page, fmt.Sprintf(" %d jobs.", ended))
	})
}

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// madeUp is an app on a socket of the site, which answers what the test says. An app that is older than this command knows
// nothing but its status.
func madeUp(t *testing.T, s *site, answers map[string]http.HandlerFunc) (end func()) {
	t.Helper()
	status := control.Status{Protocol: control.Protocol, PID: 7, Program: "/srv/app", Generations: []control.Generation{{PID: 7, State: "current"}}}
	ln := must.Get(net.Listen("unix", filepath.Join(s.dir, "made-up.sock")))(t)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(control.HeaderProtocol, strconv.Itoa(control.Protocol))
		answer := answers[r.URL.Path]
		switch {
		case r.URL.Path == "/v1/status":
			_ = json.NewEncoder(w).Encode(status)
		case answer != nil:
			answer(w, r)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"code":"not_found","message":"there is no such path"}}`)
		}
	})}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
	return func() { srv.Close() }
}

// telling streams these events again and again, each with an ID of its own, until the client leaves or the app ends.
func telling(told chan<- string, events ...control.Event) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		told <- r.URL.Query().Get("since")
		for n := 0; ; n++ {
			e := events[n%len(events)]
			e.ID = strconv.Itoa(n)
			if json.NewEncoder(w).Encode(e) != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			if n < len(events)-1 {
				continue
			}
			select {
			case <-time.After(time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}
}

var confirmed = control.Event{
	Time: time.Date(2026, 11, 28, 20, 30, 0, 123e6, time.UTC), Step: control.StepConfirmed, PID: 8, By: 7, Generation: 3, Version: "v1",
	Text: "the new process goes on by itself",
}

// TestEventText_NamesWhoTellsWhat in one line, and nothing twice.
func TestEventText_NamesWhoTellsWhat(t *testing.T) {
	t.Parallel()
	own := confirmed
	own.Step, own.PID, own.Text = control.StepServing, 7, "it accepts"
	end := confirmed
	end.Step, end.Outcome = control.StepConcluded, &control.Outcome{Kind: control.KindRolledBack, OldPID: 7, NewPID: 8, Reason: "it ended\x1b[2J"}
	good := end
	good.Outcome = &control.Outcome{OK: true, Kind: control.KindUpgraded, OldPID: 7, NewPID: 8, OldVersion: "v1", Version: "v2", Generation: 4, Took: time.Second}
	when := confirmed.Time.Local().Format(time.DateTime) + ".123"
	for _, tt := range []struct {
		e    control.Event
		want string
	}{
		{confirmed, "  gen 3  pid 7  v1  confirmed  process 8: the new process goes on by itself"},
		{own, "  gen 3  pid 7  v1  serving    it accepts"},
		{end, `  gen 3  pid 7  v1  concluded  rolled back: it ended\x1b[2J`},
		{good, "  gen 3  pid 7  v1  concluded  upgraded process 7 (v1) -> process 8 (v2), generation 4, in 1s"},
		{control.Event{Time: confirmed.Time, Step: control.StepWarning, Text: "half a deployment"}, "  warning    half a deployment"},
	} {
		if got := eventText(tt.e); got != when+tt.want {
			t.Errorf("%q, want %q", got, when+tt.want)
		}
	}
}

// TestEvents_EndsByCtrlC with its exit status, whoever has told something or not, and the form is the one that was asked for.
func TestEvents_EndsByCtrlC(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		line string // that is awaited
	}{
		"words": {nil, "  gen 3  pid 7  v1  confirmed  process 8: the new process goes on by itself\n"},
		"JSON":  {[]string{"--json"}, `"step":"confirmed","pid":8,"text":"the new process goes on by itself","id":"0","by":7,"generation":3,"version":"v1"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, told := newSite(t), make(chan string, 1)
			madeUp(t, s, map[string]http.HandlerFunc{control.PathEvents: telling(told, confirmed)})
			c, _, errs := s.command(append([]string{"events", "--socket", "made-up.sock"}, tt.args...)...)
			c.Stdout = nil
			out := must.Get(c.StdoutPipe())(t)
			must.Do(t, c.Start())
			rest := awaitText(t, out, tt.line)
			must.Do(t, c.Process.Signal(os.Interrupt))
			if b := <-rest; len(b) > 0 && b[len(b)-1] != '\n' {
				t.Errorf("half a line: %q", b)
			}
			_ = c.Wait()
			if code := c.ProcessState.ExitCode(); code != control.ExitInterrupted || errs.Len() > 0 {
				t.Errorf("exit status %d: %s", code, errs)
			}
		})
	}
}

// TestEvents_Since asks for what the app remembers, and without it for nothing that is past.
func TestEvents_Since(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		ago  time.Duration
	}{"new ones": {nil, 0}, "an hour": {[]string{"--since", "1h"}, time.Hour}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, told := newSite(t), make(chan string, 1)
			madeUp(t, s, map[string]http.HandlerFunc{control.PathEvents: telling(told, confirmed)})
			before := time.Now()
			c, _, _ := s.command(append([]string{"events", "--socket", "made-up.sock"}, tt.args...)...)
			must.Do(t, c.Start())
			since := must.Get(time.Parse(time.RFC3339Nano, <-told))(t)
			after := time.Now()
			must.Do(t, c.Process.Signal(os.Interrupt))
			_ = c.Wait()
			if since.Before(before.Add(-tt.ago)) || since.After(after.Add(-tt.ago)) {
				t.Errorf("asked for those since %v, between %v and %v", since, before, after)
			}
		})
	}
}

// TestEvents_EndsWithTheApp as each command does that finds none, and with one that is too old.
func TestEvents_EndsWithTheApp(t *testing.T) {
	t.Parallel()
	s, told := newSite(t), make(chan string, 1)
	end := madeUp(t, s, map[string]http.HandlerFunc{control.PathEvents: telling(told, confirmed)})
	c, _, errs := s.command("events", "--socket", "made-up.sock")
	c.Stdout = nil
	out := must.Get(c.StdoutPipe())(t)
	must.Do(t, c.Start())
	rest := awaitText(t, out, "confirmed")
	end()
	<-rest
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != control.ExitNotFound || !strings.Contains(errs.String(), "no gracex app found") {
		t.Errorf("exit status %d: %s", code, errs)
	}
	old := newSite(t)
	madeUp(t, old, nil)
	old.expect(control.ExitNotFound, []string{"the app's gracex can't tell its events; deploy a version with a newer one"}, "events", "--socket", "made-up.sock")
	old.expect(control.ExitNotFound, []string{"the app's gracex can't count for the whole service"}, "totals", "--socket", "made-up.sock")
	old.expect(control.ExitNotFound, []string{"the app's gracex can't be asked to end a probation"}, "promote", "--socket", "made-up.sock")
	if r := old.expect(control.ExitOK, []string{"current"}, "status", "--socket", "made-up.sock"); strings.Contains(r.out+r.err, "totals") {
		t.Errorf("%s%s", r.out, r.err)
	}
	old.expect(control.ExitUsage, []string{"--since -1h0m0s: give a positive duration"}, "events", "--socket", "made-up.sock", "--since", "-1h")
}

// TestEvents_ClosedPipe: nobody reads the rest, and that is no failure.
func TestEvents_ClosedPipe(t *testing.T) {
	t.Parallel()
	s, told := newSite(t), make(chan string, 1)
	madeUp(t, s, map[string]http.HandlerFunc{control.PathEvents: telling(told, confirmed)})
	self, _ := os.Executable()
	sh := exec.Command("/bin/sh", "-c", `"$0" events --socket made-up.sock | head -n 1; echo "after $?"`, self)
	sh.Dir, sh.Env = s.dir, s.env("gracex")
	if out, err := sh.CombinedOutput(); err != nil || strings.Contains(string(out), "gracex:") || strings.Count(string(out), "\n") != 2 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestTotals shows a table, or one object, and a status has the figures of each server.
func TestTotals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	want := control.Totals{Since: confirmed.Time, Total: control.Counts{
		Servers: []control.ServerCounts{{Server: "public", Requests: 812, Accepted: 40}},
		Moved:   []control.MovedCounts{{Protocol: control.ProtocolHTTP2, TLS: true, Connections: 3}},
	}}
	madeUp(t, s, map[string]http.HandlerFunc{
		control.PathTotals:  func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(want) },
		control.PathPromote: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") },
	})
	s.expect(control.ExitOK, []string{"public  812       40\n", "moved           3 connections: 3 HTTP/2 over TLS\n", "upgrades        none\n"}, "totals", "--socket", "made-up.sock")
	s.expect(control.ExitOK, []string{"current", "public  812       40\n", "moved           3 connections: 3 HTTP/2 over TLS\n"}, "status", "--socket", "made-up.sock")
	s.expect(control.ExitOK, []string{"process 7 goes on by itself"}, "promote", "--socket", "made-up.sock")
	r := s.expect(control.ExitOK, nil, "totals", "--json", "--socket", "made-up.sock")
	var got control.Totals
	must.Do(t, json.Unmarshal([]byte(r.out), &got))
	if strings.Count(r.out, "\n") != 1 || got.Total.Requests() != 812 || !got.Since.Equal(want.Since) {
		t.Errorf("%s", r.out)
	}
}

// request asks the app of a site n times, each time on a connection of its own.
func request(t *testing.T, addr string, n int) {
	t.Helper()
	for range n {
		must.Get(load.Ask(load.Config{Addr: addr, Path: "/", Timeout: proctest.Patience}, "x"))(t)
	}
}

// totals are those of the app.
func (s *site) totals() (sum control.Totals) {
	s.t.Helper()
	r := s.expect(control.ExitOK, nil, "totals", "--json")
	valid(s.t, "totals.json", r.out)
	must.Do(s.t, json.Unmarshal([]byte(r.out), &sum))
	return sum
}

// TestTotals_GoThroughUpgrades of each outcome, and so do the figures of a status.
func TestTotals_GoThroughUpgrades(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	addr, also := proctest.FreeAddr(t), proctest.FreeAddr(t)
	s.vars = []string{"APP_ADDR=" + addr, "APP_ALSO=" + also}
	s.write("probation", "10ms")
	s.start()
	request(t, addr, 3)
	s.expect(control.ExitOK, []string{"upgraded", "drained"}, "upgrade", "--drain")
	request(t, addr, 2)
	s.write("mode", "crash")
	s.expect(control.ExitFailed, nil, "upgrade")
	request(t, also, 1)
	s.app.Await("all requests", func() bool { return s.totals().Total.Requests() == 6 })
	got := s.totals()
	if c := got.Total; c.Accepted() != 6 || c.UpgradesWith(control.KindUpgraded) != 1 || c.UpgradesWith(control.KindFailed) != 1 ||
		got.LastSuccess.IsZero() || got.LastFailure.IsZero() || got.MissingCount != 0 {
		t.Errorf("%+v", got)
	}
	rows := []string{"public   5         5\n", "metrics  1         1\n"}
	s.expect(control.ExitOK, append(rows, "upgrades        1 upgraded; 1 failed (exited)\n", "last bad one    "), "totals")
	s.expect(control.ExitOK, append(rows, fmt.Sprintf("listens on public %s, metrics %s\n", addr, also),
		" ago: failed", fmt.Sprintf("\n  process %d (v0) serves on", s.pid())), "status")
}

// TestTotals_SayWhatIsMissing of a worker that was killed, and count on.
func TestTotals_SayWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	addr := proctest.FreeAddr(t)
	self, _ := os.Executable()
	s.start("gracex", "run", "--min-backoff", "1ms", "--", "/bin/sh", "-c", playEnv+`=app APP_ADDR=`+addr+` exec "$0" "$@"`, self)
	request(t, addr, 3)
	s.app.Await("the requests", func() bool { return s.totals().Total.Requests() == 3 })
	told := s.totals()
	worker := told.Processes[0].PID
	s.app.Signal(worker, syscall.SIGKILL)
	s.app.Await("another worker", func() bool {
		r := s.gracex("status", "--json")
		var st control.Status
		return json.Unmarshal([]byte(r.out), &st) == nil && st.PID != 0 && st.PID != worker
	})
	got := s.totals()
	if got.Total.Requests() < told.Total.Requests() || got.MissingCount != 1 || got.Missing[0].PID != worker {
		t.Errorf("%+v, before %+v", got, told)
	}
	s.expect(control.ExitOK, []string{"1 process was killed before its last word.", fmt.Sprintf("process %d ", worker)}, "totals")
}

// TestEvents_FollowTheService through upgrades to its end, in both forms, and a promotion ends a probation.
func TestEvents_FollowTheService(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("probation", "4m")
	s.start()
	first := s.pid()
	s.expect(control.ExitRefused, []string{"not on probation"}, "promote")
	words, said, _ := s.command("events", "--since", "1h")
	objects, told, errs := s.command("events", "--since", "1h", "--json")
	must.Do(t, words.Start())
	must.Do(t, objects.Start())

	s.expect(control.ExitOK, []string{"runs"}, "upgrade", "--no-wait")
	s.app.Await("new pid", func() bool { return s.pid() != first })
	second := s.pid()
	s.expect(control.ExitOK, []string{fmt.Sprintf("process %d (v0) goes on by itself", second)}, "promote")
	s.expect(control.ExitRefused, []string{"not on probation"}, "promote")
	s.app.Await("the end of the old process", func() bool { return !s.app.Has(first) })
	s.write("mode", "crash")
	s.expect(control.ExitFailed, nil, "upgrade")
	s.expect(control.ExitOK, []string{"stopped"}, "stop")

	_, _ = words.Wait(), objects.Wait()
	for _, c := range []*exec.Cmd{words, objects} {
		if code := c.ProcessState.ExitCode(); code != control.ExitNotFound || !strings.HasPrefix(errs.String(), "gracex: ") {
			t.Errorf("exit status %d: %s", code, errs)
		}
	}
	valid(t, "event.json", told.String())
	steps, attempts := map[int][]string{}, map[string]bool{}
	for line := range strings.Lines(told.String()) {
		var e control.Event
		must.Do(t, json.Unmarshal([]byte(line), &e))
		steps[e.By] = append(steps[e.By], e.Step)
		attempts[e.Attempt] = true
	}
	for pid, want := range map[int][]string{
		first:  {"starting", "checking", "serving", "begun", "hooks_done", "started", "ready", "probation", "confirmed", "draining", "concluded", "moved", "drained"},
		second: {"starting", "checking", "said_ready", "serving", "confirmed", "begun", "hooks_done", "started", "failed", "concluded", "stopping", "stopped"},
	} {
		if got := steps[pid]; !sameSteps(got, want) {
			t.Errorf("process %d: %q, want %q", pid, got, want)
		}
	}
	if len(attempts) != 3 { // two, and what belongs to none
		t.Errorf("%v", attempts)
	}
	for _, text := range []string{
		fmt.Sprintf("  gen 0  pid %d  v0  begun ", first), fmt.Sprintf("  gen 1  pid %d  v0  said_ready ", second),
		fmt.Sprintf("  concluded  upgraded process %d (v0) -> process %d (v0), generation 1, in ", first, second), "  concluded  failed: it ended before it was ready",
	} {
		if !strings.Contains(said.String(), text) {
			t.Errorf("nothing of %q", text)
		}
	}
	if t.Failed() {
		t.Logf("%s%s", said, told)
	}
}

// sameSteps compares them without their order, which core's tests hold, and in which drain and outcome can cross.
func sameSteps(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

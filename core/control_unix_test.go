//go:build unix

package core_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// controlled starts an app with a control socket.
func controlled(t *testing.T, args ...string) (*app, *control.Client, event) {
	t.Helper()
	a := start(t, "app", append([]string{"-control", "ctl.sock", "-version", "v1"}, args...)...)
	return a, control.Dial(a.path("ctl.sock")), a.expect("ready", 0)
}

// status asks for the status until it is as cond wants it.
func status(t *testing.T, c *control.Client, cond func(control.Status) bool) (st control.Status) {
	t.Helper()
	var err error
	defer func() {
		if t.Failed() {
			t.Logf("status %+v, %v", st, err)
		}
	}()
	proctest.Await(t, "the status is as expected", func() bool {
		st, err = c.Status(t.Context())
		return err == nil && cond(st)
	})
	return st
}

// steps are the events of an upgrade.
type steps struct {
	mu   sync.Mutex
	list []control.Event
}

func (s *steps) add(e control.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, e)
}

// await returns when there was such a step.
func (s *steps) await(t *testing.T, step string) {
	t.Helper()
	proctest.Await(t, "there is a step "+step, func() bool { return slices.Contains(strings.Fields(s.names()), step) })
}

// names are the steps without repetition.
func (s *steps) names() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, e := range s.list {
		names = append(names, e.Step)
	}
	return strings.Join(slices.Compact(names), " ")
}

// startUpgrade asks for an upgrade that takes a while.
func startUpgrade(t *testing.T, c *control.Client, drain bool) (*steps, <-chan control.Outcome) {
	seen, outcome := new(steps), make(chan control.Outcome, 1)
	go func() {
		o, err := c.Upgrade(context.Background(), control.UpgradeOptions{Events: seen.add, Drain: drain})
		if err != nil {
			t.Error(err)
		}
		outcome <- o
	}()
	return seen, outcome
}

// expectRefused asks for an upgrade beside one that is in progress.
func expectRefused(t *testing.T, c *control.Client) {
	t.Helper()
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	if err != nil || o.OK || o.Kind != control.KindRefused || o.NewPID != 0 {
		t.Errorf("a second upgrade: %+v, %v", o, err)
	}
	expectText(t, o.Reason, "an upgrade is in progress")
}

func TestControlStatus_FollowsTheGenerationsThroughUpgrades(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m", "-pidfile", "app.pid", "-drain", "4m")
	st := status(t, c, func(st control.Status) bool { return len(st.Generations) == 1 })
	dir, _ := filepath.EvalSymlinks(a.dir)
	if st.Protocol != control.Protocol || st.PID != first.PID || st.Version != "v1" ||
		filepath.Base(st.Program) != "app" || filepath.Base(st.PIDFile) != "app.pid" ||
		!slices.Contains([]string{a.dir, dir}, filepath.Dir(st.PIDFile)) {
		t.Errorf("status %+v", st)
	}
	is := func(g control.Generation, pid, generation int, state string, hijacked int) bool {
		return g.PID == pid && g.Generation == generation && g.State == state && g.Hijacked == hijacked
	}
	if g := st.Generations[0]; !is(g, first.PID, 0, "current", 0) || g.Probation || g.Version != "v1" ||
		g.Started.IsZero() || g.Deadline != nil {
		t.Errorf("generation %+v", g)
	}
	stream := rawhttp.Dial(t, first.Addrs[0])
	stream.Ask("/hijack?stay=1")
	status(t, c, func(st control.Status) bool { return st.Generations[0].Hijacked == 1 })
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	st = status(t, c, func(st control.Status) bool { // the old one has answered in time
		return st.PID == second.PID && len(st.Generations) == 2 && st.Generations[1].State != "unknown"
	})
	newer, older := st.Generations[0], st.Generations[1]
	if !is(newer, second.PID, 1, "current", 0) || !newer.Probation {
		t.Errorf("the new process on probation: %+v", newer)
	}
	if !is(older, first.PID, 0, "probation", 1) || older.Probation || older.Version != "v1" || older.Started.IsZero() {
		t.Errorf("the old process on probation: %+v", older)
	}
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	st = status(t, c, func(st control.Status) bool {
		return len(st.Generations) == 2 && st.Generations[1].State == "draining" && !st.Generations[0].Probation
	})
	if st.Generations[1].Deadline == nil || time.Until(*st.Generations[1].Deadline) < time.Minute {
		t.Errorf("generations %+v", st.Generations)
	}
	// The third process gets to know of the first through the second.
	a.signal(second.PID, syscall.SIGUSR2)
	third := a.expect("ready", 2)
	st = status(t, c, func(st control.Status) bool {
		return st.PID == third.PID && len(st.Generations) == 3 &&
			st.Generations[1].State != "unknown" && st.Generations[2].State != "unknown"
	})
	if st.Generations[1].PID != second.PID || st.Generations[2].PID != first.PID || st.Generations[2].Hijacked != 1 {
		t.Errorf("generations %+v", st.Generations)
	}
	// One that stands still is named, and holds nothing up for long.
	a.freeze(first.PID)
	st = status(t, c, func(st control.Status) bool {
		return len(st.Generations) == 3 && st.Generations[2].State == "unknown" && st.Generations[1].State != "unknown"
	})
	if st.Generations[2].PID != first.PID || st.Generations[1].State != "probation" {
		t.Errorf("generations %+v", st.Generations)
	}
	a.signal(first.PID, syscall.SIGCONT)
	stream.Close()
	status(t, c, func(st control.Status) bool { return len(st.Generations) == 2 })
}

// TestControlUpgrade_TellsTheOutcome watches upgrades of all kinds.
func TestControlUpgrade_TellsTheOutcome(t *testing.T) {
	t.Parallel()
	const (
		onProbation = "started ready probation"
		long        = "-probation 4m"
	)
	for name, tt := range map[string]struct{ mode, args, kind, steps, reason, exit string }{
		"good":         {"", "-probation 100ms", control.KindUpgraded, onProbation + " confirmed", "", ""},
		"to the drain": {"", "-probation 100ms", control.KindUpgraded, onProbation + " confirmed draining drained", "", ""},
		"no probation": {"", "-probation 0", control.KindUpgraded, "started ready draining drained", "", ""},
		"crash": {"crash", long, control.KindFailed, "started failed",
			"it ended before it was ready", "exit status 2"},
		"check": {"check", long, control.KindFailed, "started failed",
			"it failed to start: ready check: no database", "exit status 1"},
		"crash later": {"crashlater", long, control.KindRolledBack, onProbation + " rolled_back",
			"it ended on probation", "exit status 2"},
		"hang": {"hang", long + " -ready 500ms", control.KindTimedOut, "started failed",
			"it was not ready in time; WithReadyTimeout is 500ms", "signal: terminated"},
		"veto": {"veto", long, control.KindRefused, "refused", "upgrade vetoed: not on a Friday", ""},
		"rejects": {"rejects", long, control.KindRolledBack, onProbation + " rolled_back",
			"it rejected itself: at once", "exit status 1"},
		"not a program": {"", long, control.KindFailed, "failed", "app could not be started", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, c, first := controlled(t, strings.Fields(tt.args)...)
			a.setMode(tt.mode)
			if name == "not a program" {
				remove(t, a)
			}
			seen, drain := new(steps), strings.HasSuffix(tt.steps, "drained")
			o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Events: seen.add, Drain: drain})
			must(t, err)
			good, started := tt.kind == control.KindUpgraded, strings.HasPrefix(tt.steps, "started")
			if o.OK != good || o.Kind != tt.kind || o.OldPID != first.PID || o.OldGeneration != 0 || o.OldVersion != "v1" ||
				o.Took < 0 || (o.NewPID != 0) != started || good && (o.Version != "v1" || o.Generation != 1) {
				t.Errorf("outcome %+v", o)
			}
			if seen.names() != tt.steps {
				t.Errorf("steps %s, want %s", seen.names(), tt.steps)
			}
			if name == "rejects" && o.Exit == "" {
				o.Exit = tt.exit // it has served, so nothing waits for its end
			}
			expectText(t, o.Reason, tt.reason)
			if (o.Reason == "") != good || o.Exit != tt.exit || strings.Contains(o.Reason, "stderr") {
				t.Errorf("reason %q, exit %q", o.Reason, o.Exit)
			}
			if name == "crash" {
				expectText(t, strings.Join(o.Stderr, "\n"), "panic: a bug")
			}
			want := first.PID
			if good {
				want = o.NewPID
			}
			status(t, c, func(st control.Status) bool { return st.PID == want && st.Generations[0].State == "current" })
			if drain {
				last := seen.list[len(seen.list)-1]
				if last.PID != first.PID || last.Text != "nothing was cut" || last.Remaining != 0 {
					t.Errorf("the drain's end: %+v", last)
				}
			}
		})
	}
}

// TestControlRollback_TakesBackOnlyAProbation and no other upgrade begins in it.
func TestControlRollback_TakesBackOnlyAProbation(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m", "-pidfile", "app.pid")
	refused := func(when string) {
		t.Helper()
		err := c.Rollback(t.Context(), when)
		if !errors.Is(err, control.ErrRefused) {
			t.Errorf("a rollback %s = %v", when, err)
		}
		expectError(t, err, "deploy the old version")
	}
	refused("without a probation")
	seen, outcome := startUpgrade(t, c, false)
	seen.await(t, control.StepProbation)
	a.expect("ready", 1)
	expectRefused(t, c) // by the new process, which is asked now
	must(t, c.Rollback(t.Context(), "it is slow"))
	o := <-outcome
	if o.Kind != control.KindRolledBack {
		t.Errorf("outcome %+v", o)
	}
	expectText(t, o.Reason, "rolled back by the operator: it is slow")
	status(t, c, func(st control.Status) bool {
		return st.PID == first.PID && st.Generations[0].State == "current" && !st.Generations[0].Probation
	})
	refused("again")
}

// TestControlUpgrade_IsOneAtATime and goes on when its client goes.
func TestControlUpgrade_IsOneAtATime(t *testing.T) {
	t.Parallel()
	a, c, _ := controlled(t, "-probation", "100ms")
	a.setMode("wait")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Upgrade(ctx, control.UpgradeOptions{Events: func(e control.Event) {
		if e.Step == control.StepStarted {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Upgrade = %v", err)
	}
	expectError(t, err, "the upgrade goes on")
	a.expect("checking", 0)
	expectRefused(t, c)
	a.setMode("")
	second := a.expect("ready", 1)
	a.expectLog("msg=upgraded", 1)
	status(t, c, func(st control.Status) bool { return st.PID == second.PID && len(st.Generations) == 1 })
}

// TestControlSocket_IsNotTheProgram: the control socket is in none of the program's counts,
// holds up no drain, and is lost to no program that does not know it.
func TestControlSocket_IsNotTheProgram(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m", "-drain", "4m")
	rawhttp.Dial(t, c.Path()) // idle: a drain would wait for it
	for range 3 {
		_, err := c.Status(t.Context())
		must(t, err)
	}
	raw, err := c.Ledger(t.Context())
	must(t, err)
	expectText(t, string(raw), `"Accepted":0,"Served":0`, `"Open":{"Requests":0,"Connections":0,"Hijacked":0,"Sockets":0}`)
	if strings.Contains(a.log(), "addresses=\"["+first.Addrs[0]+" ") {
		t.Error("the control socket is among the program's addresses")
	}
	seen, outcome := startUpgrade(t, c, true)
	seen.await(t, control.StepProbation)
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	if o := <-outcome; !o.OK {
		t.Errorf("outcome %+v", o)
	}
	if end := a.endsWell(0); end.PID != first.PID {
		t.Errorf("process %d ended, want %d", end.PID, first.PID)
	}
}

// TestControlSocket_GarbageHarmsNothing sends no requests of the control socket, and a stop at the end, which has begun
// when the answer is there and leaves nothing.
func TestControlSocket_GarbageHarmsNothing(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t)
	for name, tt := range map[string]struct{ send, want string }{
		"noise":  {"\x00\x01\x02\r\n\r\n", "400 Bad Request"},
		"half":   {"POST /v1/stop HTTP/1.1\r\n", ""},
		"path":   {"GET /v2/status HTTP/1.1\r\nHost: a\r\n\r\n", `{"error":{"code":"not_found"`},
		"method": {"GET /v1/stop HTTP/1.1\r\nHost: a\r\n\r\n", `{"error":{"code":"method","message":"/v1/stop wants POST"}}`},
		"body":   {"POST /v1/rollback HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{]}", `{"error":{"code":"bad_request"`},
		"huge body": {"POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000),
			`{"error":{"code":"bad_request"`},
		"huge header":  {"GET /v1/status HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 100000) + "\r\n\r\n", "431"},
		"handover":     {"GX\x01\x05\x00\x00\x00\x00", ""},
		"another verb": {"DELETE /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"},
	} {
		nc := rawhttp.Dial(t, c.Path())
		go func() { _, _ = nc.Write([]byte(tt.send)) }()
		if tt.want == "" {
			continue // it waits for more
		}
		got := make([]byte, 4096)
		n, _ := io.ReadAtLeast(nc, got, 200)
		if !strings.Contains(string(got[:n]), tt.want) {
			t.Errorf("%s: %q", name, got[:n])
		}
	}
	status(t, c, func(st control.Status) bool { return st.PID == first.PID && st.Generations[0].State == "current" })
	must(t, c.Stop(t.Context()))
	a.endsWell(0)
	a.expectGone()
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Status after a stop = %v", err)
	}
}

// TestControlSocket_OnlyAStaleOneIsReplaced: that of a process that was killed is, and one that
// somebody listens on is not.
func TestControlSocket_OnlyAStaleOneIsReplaced(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t)
	beside := func() *app {
		b := &app{t: t, dir: a.dir}
		b.start("app", "./app", "-control", "ctl.sock")
		return b
	}
	expectText(t, beside().expect("end", 0).Err, "control socket: ", "another program listens there")
	status(t, c, func(st control.Status) bool { return st.PID == first.PID })
	a.signal(first.PID, syscall.SIGKILL)
	a.expectGone()
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrStale) {
		t.Errorf("Status of a killed app = %v", err)
	}
	again := beside().expect("ready", 0)
	status(t, c, func(st control.Status) bool { return st.PID == again.PID })
}

// TestControlSocket_IsWhereFindLooksByDefault: with a pid file there is a socket without being told, and none where
// that can't be.
func TestControlSocket_IsWhereFindLooksByDefault(t *testing.T) {
	t.Parallel()
	for name, possible := range map[string]bool{"a directory": true, "no directory": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			run := a.path("run")
			if possible {
				must(t, os.Mkdir(run, 0o700))
			}
			a.env = append(a.env, "XDG_RUNTIME_DIR="+run)
			a.start("app", "./app", "-control", "auto", "-pidfile", "app.pid")
			first := a.expect("ready", 0)
			found, err := filepath.Glob(filepath.Join(run, "gracex", "app-*.sock"))
			must(t, err)
			if (len(found) == 1) != possible {
				t.Fatalf("sockets %q", found)
			}
			if !possible {
				a.expectLog("no control socket", 1)
				return
			}
			fi, err := os.Stat(filepath.Dir(found[0]))
			must(t, err)
			if fi.Mode().Perm() != 0o700 {
				t.Errorf("the directory has mode %v", fi.Mode())
			}
			status(t, control.Dial(found[0]), func(st control.Status) bool { return st.PID == first.PID })
		})
	}
}

// TestControlSocket_KeepsOtherUsersOut by its mode and beside it.
func TestControlSocket_KeepsOtherUsersOut(t *testing.T) {
	t.Parallel()
	before := syscall.Umask(0o002) // the app gets it; other tests set modes that it allows
	a, c, _ := controlled(t)
	syscall.Umask(before)
	fi, err := os.Stat(c.Path())
	must(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v", fi.Mode().Perm())
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can play another user")
	}
	ask := func(want string) {
		t.Helper()
		b := &app{t: t, dir: a.dir}
		unprivileged(t, b)
		b.start("controlclient", "./app", c.Path())
		expectText(t, b.expect("asked", 0).Err, control.ErrPermission.Error(), want)
	}
	ask("belongs to root")
	must(t, os.Chmod(c.Path(), 0o666))
	ask("takes no orders from user 65534")
}

func init() {
	programs["controlclient"] = func() {
		_, err := control.Dial(os.Args[1]).Status(context.Background())
		if err == nil {
			err = errors.New("an answer")
		}
		emit(event{Event: "asked", Err: err.Error()})
	}
}

// TestControlSocket_GoesWithAPlainProgram: a program that speaks only the plain protocol gets the program's
// listener first, and leaves no socket behind that nobody answers on.
func TestControlSocket_GoesWithAPlainProgram(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = append(a.env, "APP_CONTROL=ctl.sock") // a flag that the plain program does not have
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first, c := a.expect("ready", 0), control.Dial(a.path("ctl.sock"))
	deployPlain(t, a)
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	if err != nil || !o.OK || o.OldPID != first.PID || o.Version != "" {
		t.Fatalf("outcome %+v, %v", o, err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Status of a plain program = %v", err)
	}
	a.expect("end", 0)
	expectAnswers(t, first.Addrs[0])
}

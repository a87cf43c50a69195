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

// startUpgrade asks for an upgrade, and returns when the new process is on probation. One that was rolled back just before
// can answer until it has heard that, and says that it is on probation.
func startUpgrade(t *testing.T, c *control.Client, opts control.UpgradeOptions) <-chan control.Outcome {
	t.Helper()
	asked := time.Now()
	outcome := make(chan control.Outcome, 1)
	go func() {
		o, err := c.Upgrade(context.Background(), opts)
		if err != nil {
			t.Error(err)
		}
		outcome <- o
	}()
	status(t, c, func(st control.Status) bool {
		newest := st.Generations[0]
		return newest.Probation && newest.Started.After(asked)
	})
	return outcome
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

// TestControlUpgrade_IsForTheProcessInCharge asks while a process that has rejected itself waits for the old one. That
// process starts nothing, and the client's next connection reaches the old one.
func TestControlUpgrade_IsForTheProcessInCharge(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m")
	second := a.next(first)
	a.freeze(first.PID)
	expectError(t, a.call(first.Addrs[0], "/reject?why=bad"), "<nil>")
	asker := rawhttp.Dial(t, c.Path())
	asker.Send("POST /v1/upgrade HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
	expectText(t, string(asker.Answer().Body), control.CodeNotInCharge)
	result := make(chan control.Outcome, 1)
	go func() {
		o, err := c.Upgrade(context.Background(), control.UpgradeOptions{})
		if err != nil {
			t.Error(err)
		}
		result <- o
	}()
	a.signal(first.PID, syscall.SIGCONT)
	third := a.expect("ready", 2)
	if third.Gen != 1 {
		t.Errorf("%+v", third)
	}
	must(t, c.Rollback(t.Context(), "enough"))
	if o := <-result; o.OldPID != first.PID || o.NewPID != third.PID || third.PID == second.PID {
		t.Errorf("%+v of %+v", o, third)
	}
}

func TestControlStatus_FollowsTheGenerationsThroughUpgrades(t *testing.T) {
	t.Parallel()
	a, c, ready := controlled(t, "-probation", "4m", "-pidfile", "app.pid", "-drain", "4m")
	await := func(want ...control.Generation) control.Status {
		t.Helper()
		return status(t, c, func(st control.Status) bool {
			return st.PID == want[0].PID && slices.EqualFunc(st.Generations, want, func(got, want control.Generation) bool {
				return got.PID == want.PID && got.Generation == want.Generation && got.State == want.State &&
					got.Probation == want.Probation && got.Hijacked == want.Hijacked
			})
		})
	}
	first := control.Generation{PID: ready.PID, State: "current"}
	st := await(first)
	dir, _ := filepath.EvalSymlinks(a.dir)
	if st.Protocol != control.Protocol || st.Version != "v1" || filepath.Base(st.Program) != "app" ||
		filepath.Base(st.PIDFile) != "app.pid" || !slices.Contains([]string{a.dir, dir}, filepath.Dir(st.PIDFile)) {
		t.Errorf("status %+v", st)
	}
	if g := st.Generations[0]; g.Version != "v1" || g.Started.IsZero() || g.Deadline != nil {
		t.Errorf("generation %+v", g)
	}
	stream := asked(t, ready.Addrs[0], "/hijack?stay=1")
	first.Hijacked = 1
	await(first)

	a.signal(first.PID, syscall.SIGUSR2)
	second := control.Generation{PID: a.expect("ready", 1).PID, Generation: 1, State: "current", Probation: true}
	first.State = "probation"
	if g := await(second, first).Generations[1]; g.Version != "v1" || g.Started.IsZero() {
		t.Errorf("the old process on probation: %+v", g)
	}
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	first.State, second.Probation = "draining", false
	if g := await(second, first).Generations[1]; g.Deadline == nil || time.Until(*g.Deadline) < time.Minute {
		t.Errorf("the old process drains: %+v", g)
	}

	// The third process gets to know of the first through the second.
	a.signal(second.PID, syscall.SIGUSR2)
	third := control.Generation{PID: a.expect("ready", 2).PID, Generation: 2, State: "current", Probation: true}
	second.State = "probation"
	await(third, second, first)
	// One that stands still is named, and holds nothing up for long.
	a.freeze(first.PID)
	await(third, second, control.Generation{PID: first.PID, State: "unknown"})
	a.signal(first.PID, syscall.SIGCONT)
	stream.Close()
	await(third, second)
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
		"silent crash": {"exit7", long, control.KindFailed, "started failed",
			"it ended before it was ready, and wrote nothing to stderr", "exit status 7"},
		"hang": {"hang", long + " -ready 500ms", control.KindTimedOut, "started failed",
			"it was not ready in time; WithReadyTimeout is 500ms", ""},
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
			var last control.Event
			var steps []string
			drain := strings.HasSuffix(tt.steps, "drained")
			o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Drain: drain, Events: func(e control.Event) {
				last, steps = e, append(steps, e.Step)
			}})
			must(t, err)
			good, started := tt.kind == control.KindUpgraded, strings.HasPrefix(tt.steps, "started")
			if o.OK != good || o.Kind != tt.kind || o.OldPID != first.PID || o.OldGeneration != 0 || o.OldVersion != "v1" ||
				o.Took < 0 || (o.NewPID != 0) != started || good && (o.Version != "v1" || o.Generation != 1) {
				t.Errorf("outcome %+v", o)
			}
			if got := strings.Join(slices.Compact(steps), " "); got != tt.steps {
				t.Errorf("steps %s, want %s", got, tt.steps)
			}
			if name == "rejects" && o.Exit == "" {
				o.Exit = tt.exit // it has served, so nothing waits for its end
			}
			expectText(t, o.Reason, tt.reason)
			if (o.Reason == "") != good || o.Exit != tt.exit || strings.Contains(o.Reason, "stderr:") {
				t.Errorf("reason %q, exit %q", o.Reason, o.Exit)
			}
			expectText(t, strings.Join(o.Stderr, "\n"), map[string][]string{
				"crash":       {"panic: a bug"},
				"crash later": {"panic: a bug that shows late"},
				"hang":        {"goroutine 1 [select (no cases)", "core_test.misbehave"}, // the stack of main
			}[name]...)
			if strings.HasPrefix(o.Reason, "timed out") || strings.Contains(o.Reason, "mode -") && name != "not a program" {
				t.Errorf("the reason has what is said elsewhere: %q", o.Reason)
			}
			want := first.PID
			if good {
				want = o.NewPID
			}
			status(t, c, func(st control.Status) bool { return st.PID == want && st.Generations[0].State == "current" })
			if drain && (last.PID != first.PID || last.Text != "nothing was cut" || last.Remaining != 0) {
				t.Errorf("the drain's end: %+v", last)
			}
		})
	}
}

// TestControlRollback_TakesBackOnlyAProbation: no other upgrade begins in it.
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
	outcome := startUpgrade(t, c, control.UpgradeOptions{})
	a.expect("ready", 1)
	expectRefused(t, c) // by the new process, which is asked now
	must(t, c.Rollback(t.Context(), "it is slow"))
	o := <-outcome
	if o.Kind != control.KindRolledBack {
		t.Errorf("outcome %+v", o)
	}
	if o.Reason != "rolled back by the operator: it is slow" || o.Stderr != nil {
		t.Errorf("outcome %+v", o)
	}
	a.expectLog(`error="gracex: upgrade rolled back by the operator: it is slow"`, 1)
	status(t, c, func(st control.Status) bool {
		return st.PID == first.PID && st.Generations[0].State == "current" && !st.Generations[0].Probation
	})
	refused("again")
}

// TestControlUpgrade_IsOneAtATime: it goes on when its client goes.
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
	expectText(t, string(raw), `"state":"current","accepted":0,"served":0`,
		`"open_requests":0,"open_connections":0,"open_hijacked":0,"open_sockets":0,"open_background":0}`)
	if strings.Contains(a.log(), "addresses=\"["+first.Addrs[0]+" ") {
		t.Error("the control socket is among the program's addresses")
	}
	outcome := startUpgrade(t, c, control.UpgradeOptions{Drain: true})
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

// TestStart_ReplacesOnlyStaleSockets: those of a process that was killed, and not one that somebody listens on.
func TestStart_ReplacesOnlyStaleSockets(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-listen", "unix,app.sock")
	beside := func(args ...string) *app {
		b := &app{t: t, dir: a.dir}
		b.start("app", "./app", append(args, "-control", "ctl.sock")...)
		return b
	}
	expectText(t, beside().expect("end", 0).Err, "control socket: ", "another program listens there")
	status(t, c, func(st control.Status) bool { return st.PID == first.PID })
	a.signal(first.PID, syscall.SIGKILL)
	a.expectGone()
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrStale) {
		t.Errorf("Status of a killed app = %v", err)
	}
	_, err := os.Lstat(a.path("app.sock"))
	must(t, err)
	again := beside("-listen", "unix,app.sock").expect("ready", 0)
	status(t, c, func(st control.Status) bool { return st.PID == again.PID })
	expectAnswers(t, a.path("app.sock"))
}

// TestControlSocket_IsWhereFindLooksByDefault: a pid file is enough. Where that can't be, there is none.
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

// TestControlSocket_IsNotInAnotherUsersRuntimeDirectory, as sudo -E leaves the variable. A socket with a path of its own
// is refused there.
func TestControlSocket_IsNotInAnotherUsersRuntimeDirectory(t *testing.T) {
	t.Parallel()
	a := installed(t)
	unprivileged(t, a) // which can't have the other default, /run/gracex, either
	run, own := a.path("run"), a.path("own")
	must(t, os.Mkdir(run, 0o700))
	must(t, os.Chmod(run, 0o777))
	must(t, os.Mkdir(own, 0o700))
	if a.attr != nil {
		must(t, os.Chown(own, int(a.attr.Credential.Uid), int(a.attr.Credential.Gid)))
	}
	a.env = append(a.env, "XDG_RUNTIME_DIR="+run)
	a.start("app", "./app", "-control", "auto", "-pidfile", "own/app.pid")
	a.expect("ready", 0)
	a.expectLog("the control socket is not in the runtime directory", 1)
	entries, err := os.ReadDir(run)
	if err != nil || len(entries) > 0 {
		t.Errorf("in the directory: %v, %v", entries, err)
	}
	b := &app{t: t, dir: a.dir, attr: a.attr}
	b.start("app", "./app", "-control", "run/ctl.sock")
	expectText(t, b.expect("end", 0).Err, "control socket: ", "can change "+run+" (mode drwxrwxrwx, owner ", "; chmod go-w "+run+", or choose a path")
}

// TestControlSocket_KeepsOtherUsersOut: its mode does, and where that is another one, the process.
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

//go:build unix

package core_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// controlled starts an app with a control socket.
func controlled(t *testing.T, args ...string) (*app, *control.Client, event) {
	t.Helper()
	a := start(t, "app", append([]string{"-control", "ctl.sock", "-version", "v1"}, args...)...)
	return a, control.Dial(filepath.Join(a.dir, "ctl.sock")), a.expect("ready", 0)
}

// status asks for the status until it is as cond wants it.
func status(t *testing.T, c *control.Client, cond func(control.Status) bool) control.Status {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		st, err := c.Status(t.Context())
		if err == nil && cond(st) {
			return st
		}
		if time.Now().After(end) {
			t.Fatalf("status %+v, %v", st, err)
		}
	}
}

// steps are the events of an upgrade.
type steps struct {
	mu   sync.Mutex
	list []control.Event
	seen map[string]chan struct{}
}

func newSteps() *steps { return &steps{seen: map[string]chan struct{}{}} }

func (s *steps) add(e control.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, e)
	select {
	case <-s.chanLocked(e.Step):
	default:
		close(s.seen[e.Step])
	}
}

func (s *steps) chanLocked(step string) chan struct{} {
	if s.seen[step] == nil {
		s.seen[step] = make(chan struct{})
	}
	return s.seen[step]
}

// await returns when there was such a step.
func (s *steps) await(t *testing.T, step string) {
	t.Helper()
	s.mu.Lock()
	ch := s.chanLocked(step)
	s.mu.Unlock()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("no %s step: %v", step, s.names())
	}
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

// TestControlStatus follows the generations of an app through an upgrade.
func TestControlStatus(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m", "-pidfile", "app.pid", "-drain", "4m")
	st := status(t, c, func(st control.Status) bool { return len(st.Generations) == 1 })
	pidFile, _ := filepath.EvalSymlinks(a.dir)
	if st.Protocol != control.Protocol || st.PID != first.PID || st.Version != "v1" || filepath.Base(st.Program) != "app" ||
		st.PIDFile != filepath.Join(pidFile, "app.pid") && st.PIDFile != filepath.Join(a.dir, "app.pid") {
		t.Errorf("status %+v", st)
	}
	if g := st.Generations[0]; g.PID != first.PID || g.State != "current" || g.Probation || g.Version != "v1" || g.Started.IsZero() || g.Deadline != nil {
		t.Errorf("generation %+v", g)
	}
	stream, err := net.Dial("tcp", first.Addrs[0])
	must(t, err)
	defer stream.Close()
	_, err = stream.Write([]byte("GET /hijack?stay=1 HTTP/1.1\r\nHost: a\r\n\r\n"))
	must(t, err)
	status(t, c, func(st control.Status) bool { return st.Generations[0].Hijacked == 1 })
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	st = status(t, c, func(st control.Status) bool {
		return st.PID == second.PID && len(st.Generations) == 2 && st.Generations[1].State != "unknown" // it has answered in time
	})
	newer, older := st.Generations[0], st.Generations[1]
	if newer.PID != second.PID || newer.Generation != 1 || newer.State != "current" || !newer.Probation || newer.Hijacked != 0 {
		t.Errorf("the new process on probation: %+v", newer)
	}
	if older.PID != first.PID || older.Generation != 0 || older.State != "probation" || older.Probation || older.Hijacked != 1 || older.Version != "v1" || older.Started.IsZero() {
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
		return st.PID == third.PID && len(st.Generations) == 3 && st.Generations[1].State != "unknown" && st.Generations[2].State != "unknown"
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

// TestControlUpgrade watches upgrades of all kinds to their outcome.
func TestControlUpgrade(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode, args    string
		kind, steps   string
		reason, exit  string
		stderr        string
		drain, noProc bool
	}{
		"good":          {"", "-probation 100ms", control.KindUpgraded, "started ready probation confirmed", "", "", "", false, false},
		"to the drain":  {"", "-probation 100ms", control.KindUpgraded, "started ready probation confirmed draining drained", "", "", "", true, false},
		"no probation":  {"", "-probation 0", control.KindUpgraded, "started ready draining drained", "", "", "", true, false},
		"crash":         {"crash", "-probation 4m", control.KindFailed, "started failed", "it ended before it was ready", "exit status 2", "panic: a bug", false, false},
		"check":         {"check", "-probation 4m", control.KindFailed, "started failed", "it failed to start: ready check: no database", "exit status 1", "", false, false},
		"crash later":   {"crashlater", "-probation 4m", control.KindRolledBack, "started ready probation rolled_back", "it ended on probation", "exit status 2", "", false, false},
		"hang":          {"hang", "-probation 4m -ready 500ms", control.KindTimedOut, "started failed", "it was not ready in time; WithReadyTimeout is 500ms", "signal: terminated", "", false, false},
		"veto":          {"veto", "-probation 4m", control.KindRefused, "refused", "upgrade vetoed: not on a Friday", "", "", false, true},
		"rejects":       {"rejects", "-probation 4m", control.KindRolledBack, "started ready probation rolled_back", "it rejected itself: at once", "exit status 1", "", false, false},
		"not a program": {"", "-probation 4m", control.KindFailed, "failed", "app could not be started", "", "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, c, first := controlled(t, strings.Fields(tt.args)...)
			a.setMode(tt.mode)
			if name == "not a program" {
				must(t, os.Remove(filepath.Join(a.dir, "app")))
			}
			seen := newSteps()
			o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Events: seen.add, Drain: tt.drain})
			if err != nil {
				t.Fatal(err)
			}
			good := tt.kind == control.KindUpgraded
			if o.OK != good || o.Kind != tt.kind || o.OldPID != first.PID || o.OldGeneration != 0 || o.OldVersion != "v1" || o.Took < 0 || (o.NewPID == 0) != tt.noProc {
				t.Errorf("outcome %+v", o)
			}
			if seen.names() != tt.steps {
				t.Errorf("steps %s, want %s", seen.names(), tt.steps)
			}
			if good && (o.Version != "v1" || o.Generation != 1) {
				t.Errorf("outcome %+v", o)
			}
			if name == "rejects" && o.Exit == "" {
				o.Exit = tt.exit // it has served, so nothing waits for its end
			}
			if !strings.Contains(o.Reason, tt.reason) || (o.Reason == "") != good || o.Exit != tt.exit || strings.Contains(o.Reason, "stderr") {
				t.Errorf("reason %q, exit %q", o.Reason, o.Exit)
			}
			if !strings.Contains(strings.Join(o.Stderr, "\n"), tt.stderr) {
				t.Errorf("stderr %q", o.Stderr)
			}
			want := first.PID
			if good {
				want = o.NewPID
			}
			status(t, c, func(st control.Status) bool { return st.PID == want && st.Generations[0].State == "current" })
			if tt.drain {
				last := seen.list[len(seen.list)-1]
				if last.PID != first.PID || last.Text != "nothing was cut" || last.Remaining != 0 {
					t.Errorf("the drain's end: %+v", last)
				}
			}
		})
	}
}

// TestControlRollback: the operator takes an upgrade back, and only one that is on
// probation.
func TestControlRollback(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m", "-pidfile", "app.pid")
	if err := c.Rollback(t.Context(), "too early"); !errors.Is(err, control.ErrRefused) || !strings.Contains(err.Error(), "deploy the old version") {
		t.Errorf("a rollback without a probation = %v", err)
	}
	seen, outcome := newSteps(), make(chan control.Outcome, 1)
	go func() {
		o, err := c.Upgrade(context.Background(), control.UpgradeOptions{Events: seen.add})
		if err != nil {
			t.Error(err)
		}
		outcome <- o
	}()
	seen.await(t, control.StepProbation)
	a.expect("ready", 1)
	// Now it is the new process that is asked, and it can't begin another one.
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	if err != nil || o.Kind != control.KindRefused || !strings.Contains(o.Reason, "an upgrade is in progress") {
		t.Errorf("a second upgrade: %+v, %v", o, err)
	}
	if err := c.Rollback(t.Context(), "it is slow"); err != nil {
		t.Errorf("Rollback = %v", err)
	}
	o = <-outcome
	if o.Kind != control.KindRolledBack || !strings.Contains(o.Reason, "rolled back by the operator: it is slow") {
		t.Errorf("outcome %+v", o)
	}
	status(t, c, func(st control.Status) bool {
		return st.PID == first.PID && st.Generations[0].State == "current" && !st.Generations[0].Probation
	})
	if err := c.Rollback(t.Context(), "again"); !errors.Is(err, control.ErrRefused) {
		t.Errorf("a second rollback = %v", err)
	}
}

// TestControlTwoUpgrades: one at a time.
func TestControlTwoUpgrades(t *testing.T) {
	t.Parallel()
	a, c, _ := controlled(t)
	a.setMode("wait")
	outcome := make(chan control.Outcome, 1)
	go func() {
		o, _ := c.Upgrade(context.Background(), control.UpgradeOptions{})
		outcome <- o
	}()
	a.expect("checking", 0)
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	if err != nil || o.OK || o.Kind != control.KindRefused || o.NewPID != 0 || !strings.Contains(o.Reason, "an upgrade is in progress") {
		t.Errorf("a second upgrade: %+v, %v", o, err)
	}
	a.setMode("")
	if o := <-outcome; !o.OK {
		t.Errorf("the first upgrade: %+v", o)
	}
}

// TestControlUnwatched: an upgrade goes on when its client goes.
func TestControlUnwatched(t *testing.T) {
	t.Parallel()
	a, c, _ := controlled(t, "-probation", "100ms")
	a.setMode("wait")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Upgrade(ctx, control.UpgradeOptions{Events: func(e control.Event) {
		if e.Step == control.StepStarted {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the upgrade goes on") {
		t.Errorf("Upgrade = %v", err)
	}
	a.expect("checking", 0)
	a.setMode("")
	second := a.expect("ready", 1)
	a.expectLog("msg=upgraded", 1)
	status(t, c, func(st control.Status) bool { return st.PID == second.PID && len(st.Generations) == 1 })
}

// TestControlStop: the stop has begun when the answer is there, and nothing is left.
func TestControlStop(t *testing.T) {
	t.Parallel()
	a, c, _ := controlled(t)
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("Stop = %v", err)
	}
	if ev := a.expect("end", 0); ev.Err != "" {
		t.Errorf("the app ended with %q", ev.Err)
	}
	a.expectGone()
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Status after a stop = %v", err)
	}
}

// TestControlIsNotTheProgram: the control socket is in none of the program's counts,
// holds up no drain, and is lost to no program that does not know it.
func TestControlIsNotTheProgram(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m", "-drain", "4m")
	idle, err := net.Dial("unix", c.Path()) // that a drain would wait for
	must(t, err)
	defer idle.Close()
	for range 3 {
		_, err := c.Status(t.Context())
		must(t, err)
	}
	raw, err := c.Ledger(t.Context())
	must(t, err)
	if !strings.Contains(string(raw), `"Accepted":0,"Served":0`) || !strings.Contains(string(raw), `"Open":{"Requests":0,"Connections":0,"Hijacked":0,"Sockets":0}`) {
		t.Errorf("ledger %s", raw)
	}
	if strings.Contains(a.log(), "addresses=\"["+first.Addrs[0]+" ") {
		t.Error("the control socket is among the program's addresses")
	}
	seen, outcome := newSteps(), make(chan control.Outcome, 1)
	go func() {
		o, err := c.Upgrade(context.Background(), control.UpgradeOptions{Events: seen.add, Drain: true})
		if err != nil {
			t.Error(err)
		}
		outcome <- o
	}()
	seen.await(t, control.StepProbation)
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	if o := <-outcome; !o.OK {
		t.Errorf("outcome %+v", o)
	}
	if ev := a.expect("end", 0); ev.PID != first.PID || ev.Err != "" {
		t.Errorf("the old process ended: %+v", ev)
	}
}

// TestControlGarbage: what is no request of the control socket harms nothing.
func TestControlGarbage(t *testing.T) {
	t.Parallel()
	_, c, first := controlled(t)
	for name, tt := range map[string]struct{ send, want string }{
		"noise":        {"\x00\x01\x02\r\n\r\n", "400 Bad Request"},
		"half":         {"POST /v1/stop HTTP/1.1\r\n", ""},
		"path":         {"GET /v2/status HTTP/1.1\r\nHost: a\r\n\r\n", `{"error":{"code":"not_found"`},
		"method":       {"GET /v1/stop HTTP/1.1\r\nHost: a\r\n\r\n", `{"error":{"code":"method","message":"/v1/stop wants POST"}}`},
		"body":         {"POST /v1/rollback HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n{]}", `{"error":{"code":"bad_request"`},
		"huge body":    {"POST /v1/stop HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000), `{"error":{"code":"bad_request"`},
		"huge header":  {"GET /v1/status HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("x", 100000) + "\r\n\r\n", "431"},
		"handover":     {"GX\x01\x05\x00\x00\x00\x00", ""},
		"another verb": {"DELETE /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", "405 Method Not Allowed"},
	} {
		nc, err := net.Dial("unix", c.Path())
		must(t, err)
		defer nc.Close()
		go func() { _, _ = nc.Write([]byte(tt.send)) }()
		if tt.want == "" {
			continue // it waits for more
		}
		must(t, nc.SetReadDeadline(time.Now().Add(patience)))
		got := make([]byte, 4096)
		n, _ := io.ReadAtLeast(nc, got, 200)
		if !strings.Contains(string(got[:n]), tt.want) {
			t.Errorf("%s: %q", name, got[:n])
		}
	}
	status(t, c, func(st control.Status) bool { return st.PID == first.PID && st.Generations[0].State == "current" })
}

// TestControlStale: the socket of a process that was killed is replaced, and one that
// somebody listens on is not.
func TestControlStale(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t)
	b := &app{t: t, dir: a.dir}
	b.start("app", "./app", "-control", "ctl.sock")
	if ev := b.expect("end", 0); !strings.Contains(ev.Err, "control socket: ") || !strings.Contains(ev.Err, "another program listens there") {
		t.Errorf("a second app on the same control socket: %q", ev.Err)
	}
	status(t, c, func(st control.Status) bool { return st.PID == first.PID })
	a.signal(first.PID, syscall.SIGKILL)
	a.expectGone()
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrStale) {
		t.Errorf("Status of a killed app = %v", err)
	}
	d := &app{t: t, dir: a.dir}
	d.start("app", "./app", "-control", "ctl.sock")
	again := d.expect("ready", 0)
	status(t, c, func(st control.Status) bool { return st.PID == again.PID })
}

// TestControlDefault: with a pid file there is a socket without being told, where Find
// looks, and none where that can't be.
func TestControlDefault(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil bool
		want  bool
	}{"a directory": {false, true}, "no directory": {true, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, filepath.Join(a.dir, "app"))
			run := filepath.Join(a.dir, "run")
			if !tt.spoil {
				must(t, os.Mkdir(run, 0o700))
			}
			a.env = append(a.env, "XDG_RUNTIME_DIR="+run)
			a.start("app", "./app", "-control", "auto", "-pidfile", "app.pid")
			first := a.expect("ready", 0)
			found, err := filepath.Glob(filepath.Join(run, "gracex", "app-*.sock"))
			must(t, err)
			if (len(found) == 1) != tt.want {
				t.Fatalf("sockets %q", found)
			}
			if !tt.want {
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

// TestControlOthers: other users are kept out, by the mode and beside it.
func TestControlOthers(t *testing.T) {
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
	must(t, os.Chmod(a.dir, 0o755))
	ask := func() string {
		b := &app{t: t, dir: a.dir}
		b.attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		b.start("controlclient", "./app", c.Path())
		return b.expect("asked", 0).Err
	}
	if got := ask(); !strings.Contains(got, control.ErrPermission.Error()) || !strings.Contains(got, "belongs to root") {
		t.Errorf("another user's question = %q", got)
	}
	must(t, os.Chmod(c.Path(), 0o666))
	if got := ask(); !strings.Contains(got, control.ErrPermission.Error()) || !strings.Contains(got, "takes no orders from user 65534") {
		t.Errorf("another user's question through an open socket = %q", got)
	}
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

// TestControlPlain: a program that speaks only the plain protocol gets the program's
// listener first, and leaves no socket behind that nobody answers on.
func TestControlPlain(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.env = append(a.env, "APP_CONTROL=ctl.sock") // a flag that the plain program does not have
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first, c := a.expect("ready", 0), control.Dial(filepath.Join(a.dir, "ctl.sock"))
	deployPlain(t, a)
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	if err != nil || !o.OK || o.OldPID != first.PID || o.Version != "" {
		t.Fatalf("outcome %+v, %v", o, err)
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, control.ErrNotFound) {
		t.Errorf("Status of a plain program = %v", err)
	}
	a.expect("end", 0)
	if body, err := get(first.Addrs[0], "/"); err != nil {
		t.Errorf("the plain program does not serve: %q, %v", body, err)
	}
}

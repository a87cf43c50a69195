//go:build linux

package release

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/supervise"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

func init() {
	players["supervisor"] = func() int {
		code, err := supervise.Run(supervise.Config{Argv: os.Args[1:], MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
		if err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
		}
		return code
	}
}

// matrixApp is an app that is started from a store, in a directory of its own.
type matrixApp struct {
	*proctest.Program
	t          *testing.T
	dir        string
	addr       string
	supervised bool
}

func newMatrixApp(t *testing.T, supervised bool) *matrixApp {
	t.Helper()
	dir := must.Get(os.MkdirTemp("", "gxr"))(t) // short: a socket's path has little room
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must.Do(t, os.Mkdir(filepath.Join(dir, "srv"), 0o755))
	return &matrixApp{t: t, dir: dir, addr: proctest.FreeAddr(t), supervised: supervised}
}

func (a *matrixApp) store() string  { return filepath.Join(a.dir, "srv") }
func (a *matrixApp) socket() string { return filepath.Join(a.dir, "ctl") }

func (a *matrixApp) start() {
	a.t.Helper()
	program := filepath.Join(a.store(), "current", "shop")
	cmd := &exec.Cmd{
		Path: program, Dir: a.dir, Env: append(os.Environ(), "XDG_RUNTIME_DIR="+a.dir, "GRACEX_MODE=self", "RELEASE_TEST_PROGRAM=supervisor"),
		Args: []string{program, "-addr", a.addr, "-socket", a.socket(), "-probation", "250ms"},
	}
	if a.supervised {
		cmd.Path = must.Get(os.Executable())(a.t)
		cmd.Args = append([]string{"supervisor"}, cmd.Args...)
	}
	a.Program = proctest.Start(a.t, cmd)
	a.Await("the app answers", func() bool { return a.serves() != "" })
}

// serves is the build that accepts connections; empty for none. It does not ask on one from before: the old process
// answers on that until it has moved.
func (a *matrixApp) serves() string {
	req := must.Get(http.NewRequestWithContext(a.t.Context(), http.MethodGet, "http://"+a.addr, nil))(a.t)
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	_, build, _ := strings.Cut(strings.TrimSpace(string(b)), ":")
	return strings.TrimLeft(build, "0")
}

// crash kills the workers of a supervisor, or all there is, and returns when the app serves again: the supervisor starts
// it, or it is started anew, as by a boot.
func (a *matrixApp) crash() {
	a.t.Helper()
	for _, pid := range a.Live() {
		if pid != a.PID() || !a.supervised {
			_ = a.Process.Signal(pid, syscall.SIGKILL)
		}
	}
	if !a.supervised {
		a.AwaitEnd()
		a.start()
		return
	}
	a.Await("the next worker answers", func() bool { return a.serves() != "" })
}

// realRow is a row of the matrix.
type realRow struct {
	good       bool   // the candidate
	step       string // at which the deployer is killed
	supervised bool
	crash      bool // the app is killed, too
}

func (r realRow) String() string {
	of := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	return of(r.good, "good", "bad") + "/" + r.step + "/" + of(r.supervised, "supervised", "alone") + "/" + of(r.crash, "app killed", "app lives")
}

// TestRealMatrix is the kill matrix with an app on core, and with a supervisor. "make deploy-matrix" has all of it.
func TestRealMatrix(t *testing.T) {
	rows := []realRow{
		{true, "started", true, true}, {true, "confirmed", false, false}, {true, "good", false, true},
		{false, "trial", false, false}, {false, "ready", true, true}, {false, "probation", true, false},
	}
	if os.Getenv("GRACEX_DEPLOY_MATRIX") != "" {
		rows = nil
		steps := map[bool][]string{
			true: {"begin", "manifest", "half", "downloaded", "checked", "synced", "staged", "trial", "asked", "started", "ready", "probation", "confirmed", "good",
				"current", "recorded", "pruned"},
			false: {"begin", "manifest", "half", "downloaded", "checked", "synced", "staged", "trial", "asked", "started", "ready", "probation", "rolled_back", "recorded"},
		}
		for _, good := range []bool{true, false} {
			for _, step := range steps[good] {
				for _, supervised := range []bool{true, false} {
					rows = append(rows, realRow{good, step, supervised, false}, realRow{good, step, supervised, true})
				}
			}
		}
	}
	first, next := realShop(t, "good", 1), publish(t, of(t, realShop(t, "good", 4), "1.2.0", 3))
	good, bad := realShop(t, "good", 2), realShop(t, "panic", 3)
	candidates := map[bool]string{true: publish(t, of(t, good, "1.1.0", 2)), false: publish(t, of(t, bad, "1.1.0", 2))}
	ids := map[bool]string{true: idOf("1.1.0", sum(good)), false: idOf("1.1.0", sum(bad))}
	builds := map[string]string{idOf("1.0.0", sum(first)): "1", ids[true]: "2", ids[false]: "3"}
	for _, row := range rows {
		t.Run(row.String(), func(t *testing.T) {
			t.Parallel()
			a := newMatrixApp(t, row.supervised)
			s := openStore(t, a.store())
			r := staged(t, s, of(t, first, "1.0.0", 1))
			must.Do(t, s.Install(t.Context(), nil, r, nil))
			must.Do(t, s.Close())
			a.start()
			row.run(t, a, r.ID, ids[row.good], candidates[row.good], next, builds)
		})
	}
}

func (r realRow) run(t *testing.T, a *matrixApp, first, candidate, from, next string, builds map[string]string) {
	cmd := deployerOf(t, a.store(), from, envApp+"=control:"+a.socket(), envStep+"="+r.step)
	out, _ := cmd.CombinedOutput()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() {
		t.Fatalf("the deployer never came to %s: %v, %s", r.step, cmd.ProcessState, out)
	}
	proven := []string{first}
	if r.good {
		proven = append(proven, candidate)
	}
	_, boots, err := ReadState(a.store())
	must.Do(t, err)
	if !slices.Contains(proven, boots) {
		t.Errorf("the next start gets %s", boots)
	}
	if r.crash {
		a.crash()
		if got := a.serves(); got != builds[boots] {
			t.Errorf("after the crash build %s serves, and %s was current", got, boots)
		}
	}
	s := openStore(t, a.store())
	app := s.appOf(control.Dial(a.socket()))
	rec := must.Get(s.recover(t.Context(), app, nil))(t)
	st, runs := state(t, s), must.Get(app.status(t.Context()))(t)
	if st.Trial != nil || !slices.Contains(st.Good, s.Current()) || !slices.Contains(proven, s.Current()) || rec.Current != s.Current() {
		t.Errorf("after the recovery %+v %s is current of %+v", rec, s.Current(), st)
	}
	if !slices.Contains(proven, runs.release) || !r.crash && runs.release != s.Current() {
		t.Errorf("after the recovery %s runs, and %s is current", runs.release, s.Current())
	}
	must.Do(t, s.Close())
	if n := a.Log.Count("panic: this version is bad"); n > 1 || r.good && n > 0 {
		t.Errorf("the bad version was started %d times", n)
	}
	if out, err := deployerOf(t, a.store(), next, envApp+"=control:"+a.socket()).CombinedOutput(); err != nil {
		t.Errorf("the next deploy: %v, %s", err, out)
	}
	if _, current, err := ReadState(a.store()); err != nil || a.serves() != "4" || !strings.HasPrefix(current, "1.2.0-") {
		t.Errorf("after the next deploy build %s serves, and %s is current: %v", a.serves(), current, err)
	}
}

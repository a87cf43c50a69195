//go:build linux

package release

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// realApp is the program of testdata/shop as a service.
type realApp struct {
	t       *testing.T
	s       *Store
	addr    string
	socket  string
	program *proctest.Program
}

func realShop(t *testing.T, behaviour string, build int) []byte {
	t.Helper()
	return variant(t, "./testdata/shop", behaviour, build)
}

// start starts the app from a path, as a unit file does.
func (a *realApp) start(path string, flags ...string) {
	a.t.Helper()
	cmd := exec.Command(path, append([]string{"-addr", a.addr, "-socket", a.socket}, flags...)...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "GRACEX_MODE=self")
	a.program = proctest.Start(a.t, cmd)
	a.program.Await("the app answers", func() bool {
		_, err := control.Dial(a.socket).Status(a.t.Context())
		return err == nil
	})
}

func (a *realApp) client() *control.Client { return control.Dial(a.socket) }

// newRealApp has a store of its own, and does not run yet.
func newRealApp(t *testing.T) *realApp {
	dir := must.Get(os.MkdirTemp("", "app"))(t) // t.TempDir can be too long for a socket
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &realApp{t: t, s: newStore(t), addr: proctest.FreeAddr(t), socket: filepath.Join(dir, "s")}
}

// runs is the release of the process that serves.
func (a *realApp) runs() string {
	a.t.Helper()
	return must.Get(a.s.appOf(a.client()).status(a.t.Context()))(a.t).release
}

// deploy stages and tries a release.
func (a *realApp) deploy(program []byte, version string, serial int64) (Release, control.Outcome) {
	a.t.Helper()
	r := staged(a.t, a.s, of(a.t, program, version, serial))
	return r, must.Get(a.s.Try(a.t.Context(), a.client(), r, nil))(a.t)
}

func (a *realApp) wants(current, runs string) {
	a.t.Helper()
	if a.s.Current() != current || a.runs() != runs {
		a.t.Errorf("%q is current and %q runs, and not %q and %q", a.s.Current(), a.runs(), current, runs)
	}
}

// TestRealApp takes a service from a plain file to releases, under load: its clients see nothing of it.
func TestRealApp(t *testing.T) {
	a := newRealApp(t)
	plain := a.s.at("shop")
	must.Do(t, proctest.WriteProgram(plain, string(realShop(t, "good", 1))))
	a.start(plain)
	run := load.Start(load.Config{Addr: a.addr, Clients: 4})
	first := must.Get(a.s.Adopt(t.Context(), a.client(), "1.0.0", nil))(t)
	a.wants(first.ID, first.ID)
	if again := must.Get(a.s.Adopt(t.Context(), a.client(), "1.0.0", nil))(t); again.ID != first.ID {
		t.Errorf("adopted twice it is %+v", again)
	}
	second, o := a.deploy(realShop(t, "good", 2), "1.1.0", 2)
	if !o.OK {
		t.Errorf("%+v", o)
	}
	a.wants(second.ID, second.ID)
	exits, o := a.deploy(realShop(t, "exit", 3), "1.2.0", 3)
	if o.Kind != control.KindFailed || state(t, a.s).Bad[exits.SHA256].Release != exits.ID || !strings.Contains(strings.Join(o.Stderr, ""), "it ends at once") {
		t.Errorf("%+v", o)
	}
	a.wants(second.ID, second.ID)
	o = must.Get(a.s.Back(t.Context(), a.client(), nil))(t)
	if !o.OK {
		t.Errorf("%+v", o)
	}
	a.wants(first.ID, first.ID)
	if res := run.Stop(); res.Failed > 0 || res.Requests == 0 || len(res.Served) != 3 {
		t.Errorf("the clients: %v", res)
	}
	panics, o := a.deploy(realShop(t, "panic", 4), "1.3.0", 4)
	if o.Kind != control.KindRolledBack || state(t, a.s).Bad[panics.SHA256].Release != panics.ID {
		t.Errorf("%+v", o)
	}
	a.wants(first.ID, first.ID)
	if gone := must.Get(a.s.Prune(t.Context(), a.client(), 0, nil))(t); len(gone) != 1 || gone[0] != exits.ID {
		t.Errorf("it has removed %v", gone) // second was left, panics was bad
	}
	other := newStore(t) // with a release of the same name
	must.Do(t, other.Install(t.Context(), nil, staged(t, other, of(t, realShop(t, "good", 1), "1.0.0", 1)), nil))
	_, err := other.Try(t.Context(), a.client(), staged(t, other, of(t, realShop(t, "good", 2), "1.1.0", 2)), nil)
	wants(t, err, ErrNotTried, "the app is started as "+plain+", and not from "+other.dir)
	must.Do(t, a.client().Stop(t.Context()))
	a.program.AwaitEnd()
	_, err = a.s.Try(t.Context(), a.client(), second, nil)
	wants(t, err, ErrNoApp, "")
}

// TestRealApp_StopIsNoVerdict: a service that is stopped during an upgrade, by a reboot for example, says nothing
// against the release, and nothing for it. An old process that is stopped alone leaves the service to the new one, and
// then the next one who asks finds that it runs.
func TestRealApp_StopIsNoVerdict(t *testing.T) {
	for _, c := range []struct {
		behaviour, at string
		alone         bool
	}{{"late", control.StepStarted, false}, {"good", control.StepProbation, false}, {"good", control.StepProbation, true}} {
		a := newRealApp(t)
		first := staged(t, a.s, of(t, realShop(t, "good", 1), "1.0.0", 1))
		must.Do(t, a.s.Install(t.Context(), nil, first, nil))
		a.start(a.s.Program(), "-probation", "1m")
		r := staged(t, a.s, of(t, realShop(t, c.behaviour, 2), "1.1.0", 2))
		o, err := a.s.Try(t.Context(), a.client(), r, func(e Event) {
			switch {
			case e.Step == nil || e.Step.Step != c.at:
			case c.at == control.StepStarted || c.alone:
				a.program.Signal(a.program.PID(), syscall.SIGTERM)
			default:
				must.Do(t, a.client().Stop(t.Context()))
			}
		})
		if c.at == control.StepProbation {
			wants(t, err, ErrNotTried, "was asked to stop during the probation")
		}
		if st := state(t, a.s); o.OK || len(st.Bad) > 0 || len(st.Good) != 1 || a.s.Current() != first.ID {
			t.Errorf("%s: %+v %v, then %+v", c.at, o, err, st)
		}
		if !c.alone {
			a.program.AwaitEnd()
		}
		if rec := must.Get(a.s.Recover(t.Context(), a.client(), nil))(t); rec.Passed != c.alone {
			t.Errorf("%s: recovered as %+v", c.at, rec)
		}
		if c.alone {
			a.wants(r.ID, r.ID)
			must.Do(t, a.client().Stop(t.Context()))
			a.program.AwaitEnd()
		}
	}
}

// TestRealApp_FollowsByItself: the follower in an app has the app upgrade itself, writes down what came of it in the
// process that is replaced, and the next process goes on.
func TestRealApp_FollowsByItself(t *testing.T) {
	a := newRealApp(t)
	first := staged(t, a.s, of(t, realShop(t, "good", 1), "1.0.0", 1))
	must.Do(t, a.s.Install(t.Context(), nil, first, nil))
	must.Do(t, a.s.Close())
	dir := t.TempDir()
	publish := func(s *shelf) {
		must.Do(t, proctest.WriteProgram(filepath.Join(dir, "shop-linux"), string(s.files["shop-linux"])))
		for _, f := range []struct {
			name string
			b    []byte
		}{{"release.json.minisig", s.signature}, {"release.json", s.manifest}} {
			must.Do(t, os.WriteFile(filepath.Join(dir, "new"), f.b, 0o600))
			must.Do(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, f.name)))
		}
	}
	public, _ := keys()
	a.start(a.s.Program(), "-follow", dir, "-key", public.String())
	for i, version := range []string{"1.1.0", "1.2.0", "1.3.0"} {
		behaviour := map[string]string{"1.2.0": "panic"}[version]
		program := realShop(t, cmp.Or(behaviour, "good"), i+2)
		publish(of(t, program, version, int64(i+2)))
		id := idOf(version, sum(program))
		a.program.Await(version, func() bool {
			st, current, err := ReadState(a.s.dir)
			if _, bad := st.Bad[sum(program)]; bad != (behaviour != "") {
				return false
			}
			return err == nil && st.Trial == nil && (behaviour != "" || current == id)
		})
	}
	st := must.Get(a.client().Status(t.Context()))(t)
	if _, current, _ := ReadState(a.s.dir); st.NextRelease != current || !strings.HasPrefix(current, "1.3.0-") {
		t.Errorf("%s is current, and the app says %s", current, st.NextRelease)
	}
	must.Do(t, a.client().Stop(t.Context()))
	a.program.AwaitEnd()
}

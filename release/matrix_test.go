//go:build linux

package release

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

func init() { players["deployer"] = deployer }

// What a deployer is told by its environment.
const (
	envDir  = "RELEASE_TEST_DIR"  // the store
	envApp  = "RELEASE_TEST_APP"  // a fakeApp's socket, or control: and that of an app
	envFrom = "RELEASE_TEST_FROM" // a folder with a release
	envKey  = "RELEASE_TEST_KEY"
	envStep = "RELEASE_TEST_STEP" // where it is killed; empty: nowhere
)

// deployer is one deploy, as a command does it.
func deployer() int {
	step = func(name string) {
		if name == os.Getenv(envStep) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if err := deploy(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func deploy(ctx context.Context) error {
	s, err := Open(os.Getenv(envDir), "shop")
	if err != nil {
		return err
	}
	if os.Getenv(envApp) == "adopt" {
		_, err := s.Adopt(ctx, nil, "1.0.0", nil)
		return err
	}
	var a app = distantApp{os.Getenv(envApp)}
	if socket, ok := strings.CutPrefix(os.Getenv(envApp), "control:"); ok {
		a = s.appOf(control.Dial(socket))
	}
	step("begin")
	if _, err := s.recover(ctx, a, nil); err != nil {
		return err
	}
	r, err := s.Stage(ctx, folder(os.Getenv(envFrom)), Trust{Name: "shop", Keys: []string{os.Getenv(envKey)}}, StageOptions{}, nil)
	if err != nil {
		return err
	}
	o, err := s.trial(nil, "deploy", r).try(ctx, a)
	if err != nil || !o.OK {
		return fmt.Errorf("%s: %s %w", o.Kind, o.Reason, err)
	}
	_, err = s.prune(ctx, a, 0, nil)
	return err
}

// folder is a source for a process of its own.
func folder(dir string) *shelf {
	read := func(name string) []byte {
		b, _ := os.ReadFile(filepath.Join(dir, name))
		return b
	}
	return &shelf{manifest: read("release.json"), signature: read("release.json.minisig"), files: map[string][]byte{"shop-linux": read("shop-linux")}}
}

// publish writes a release to a folder.
func publish(t testing.TB, src *shelf) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, b := range map[string][]byte{"release.json": src.manifest, "release.json.minisig": src.signature, "shop-linux": src.files["shop-linux"]} {
		must.Do(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	return dir
}

// deployerOf is a deploy by a process of its own.
func deployerOf(t testing.TB, dir, from string, env ...string) *exec.Cmd {
	t.Helper()
	public, _ := keys()
	cmd := exec.Command(must.Get(os.Executable())(t))
	cmd.Env = append(os.Environ(), "RELEASE_TEST_PROGRAM=deployer", envDir+"="+dir, envFrom+"="+from, envKey+"="+public.String())
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// killedAt runs a deployer that is killed at a step, and reports whether it was.
func killedAt(t testing.TB, dir, app, from, step string) bool {
	t.Helper()
	cmd := deployerOf(t, dir, from, envApp+"="+app, envStep+"="+step)
	out, _ := cmd.CombinedOutput()
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	t.Logf("the deployer: %v, %s", cmd.ProcessState, out)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// The steps of a deploy, of a good release and of one that is bad on probation.
var (
	goodSteps = []string{"begin", "manifest", "half", "downloaded", "checked", "synced", "staged", "trial", "asked", "started", "ready", "probation",
		"confirmed", "good", "current", "recorded", "pruned"}
	badSteps = []string{"trial", "asked", "started", "ready", "probation", "rolled_back", "recorded"}
)

// TestKillMatrix kills the deployer at each step, and the app or not. What starts next is a release that has passed its
// probation, always; a recovery puts all in order; and the next good deploy works.
func TestKillMatrix(t *testing.T) {
	first, good, wrong, next := shop(t, "good", 1), shop(t, "good", 2), shop(t, "panic", 3), shop(t, "good", 4)
	row := func(program []byte, step string, appKilled bool) func(t *testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			isBad := &program[0] == &wrong[0]
			a := bad(control.KindRolledBack, idOf("1.1.0", sum(wrong)))
			a.after = 5 * time.Millisecond
			s := newStore(t)
			s.poll = time.Millisecond
			r := staged(t, s, of(t, first, "1.0.0", 1))
			must.Do(t, s.Install(t.Context(), nil, r, nil))
			must.Do(t, s.Close())
			a.set(r.ID)
			socket := a.serve(t)
			if !killedAt(t, s.dir, socket, publish(t, of(t, program, "1.1.0", 2)), step) {
				t.Fatalf("the deployer never came to %s", step)
			}

			candidate := idOf("1.1.0", sum(program))
			_, boots, err := ReadState(s.dir)
			must.Do(t, err)
			if boots != r.ID && (boots != candidate || isBad) {
				t.Errorf("the next start gets %s", boots)
			}
			if _, err := os.Stat(s.Program()); err != nil {
				t.Errorf("the next start gets nothing: %v", err)
			}
			if appKilled {
				a.restart(boots)
			}
			s = openStore(t, s.dir)
			s.poll = time.Millisecond
			must.Get(s.recover(t.Context(), a, nil))(t)
			st := state(t, s)
			if st.Trial != nil || !slices.Contains(st.Good, s.Current()) || isBad && s.Current() != r.ID {
				t.Errorf("after the recovery %s is current of %+v", s.Current(), st)
			}
			if !appKilled && a.get() != s.Current() {
				t.Errorf("after the recovery %s runs, and %s is current", a.get(), s.Current())
			}
			later := staged(t, s, of(t, next, "1.2.0", 3))
			if o, err := try(t, s, a, later); err != nil || !o.OK || s.Current() != later.ID {
				t.Errorf("the next deploy: %+v %v", o, err)
			}
		}
	}
	for _, killed := range []bool{false, true} {
		app := map[bool]string{false: "app lives", true: "app killed"}[killed]
		for _, step := range goodSteps {
			t.Run("good/"+step+"/"+app, row(good, step, killed))
		}
		for _, step := range badSteps {
			t.Run("bad/"+step+"/"+app, row(wrong, step, killed))
		}
	}
}

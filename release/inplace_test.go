//go:build linux

package release

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// TestInPlace deploys to a plain file: what lies there at last is what runs.
func TestInPlace(t *testing.T) {
	a := newRealApp(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "shop")
	programs := map[string][]byte{"first": realShop(t, "good", 1), "good": realShop(t, "good", 2), "exit": realShop(t, "exit", 3), "panic": realShop(t, "panic", 4), "last": realShop(t, "good", 5)}
	must.Do(t, proctest.WriteProgram(path, string(programs["first"])))
	must.Do(t, os.Chmod(path, 0o750))
	a.start(path)
	defer func() { _ = a.client().Stop(t.Context()); a.program.AwaitEnd() }()
	deploy := func(program []byte, o StageOptions) (control.Outcome, error) {
		from := filepath.Join(t.TempDir(), "new")
		must.Do(t, proctest.WriteProgram(from, string(program)))
		return InPlace(t.Context(), a.client(), from, o, nil)
	}
	wantsThere := func(name string) {
		t.Helper()
		exe := programOf(must.Get(a.client().Status(t.Context()))(t).PID)
		if fi := must.Get(os.Stat(path))(t); !os.SameFile(exe, fi) || fi.Mode().Perm() != 0o750 || !bytes.Equal(must.Get(os.ReadFile(path))(t), programs[name]) {
			t.Errorf("%s is not what runs, or not %s", path, name)
		}
		if all := must.Get(os.ReadDir(dir))(t); len(all) != 1 {
			t.Errorf("it leaves %v", all)
		}
	}
	for _, tt := range []struct{ name, kind, there string }{
		{"good", control.KindUpgraded, "good"}, {"exit", control.KindFailed, "good"}, {"panic", control.KindRolledBack, "good"},
	} {
		o := must.Get(deploy(programs[tt.name], StageOptions{}))(t)
		if o.Kind != tt.kind || !o.OK && !strings.Contains(o.NextStart, "the old program is at") {
			t.Errorf("%s: %+v", tt.name, o)
		}
		wantsThere(tt.there)
	}
	_, err := deploy([]byte("#!/bin/sh\n"), StageOptions{})
	wants(t, err, ErrNotAccepted, "no program of this system")
	_, err = deploy(programs["last"], StageOptions{Check: []string{"/bin/false"}})
	wants(t, err, ErrNotAccepted, "/bin/false")
	unlock := must.Get(lockFor(path))(t)
	_, err = deploy(programs["last"], StageOptions{})
	wants(t, err, ErrBusy, "")
	unlock()
	wantsThere("good")

	// A deployer that is killed leaves the new program there, and the next one puts that in order.
	p := &inPlaceFile{path: path, old: beside(path, oldSuffix)}
	from := filepath.Join(t.TempDir(), "new")
	must.Do(t, proctest.WriteProgram(from, string(programs["exit"])))
	must.Do(t, p.swap(from))
	_, err = deploy([]byte("#!/bin/sh\n"), StageOptions{})
	wants(t, err, ErrNotAccepted, "no program of this system")
	wantsThere("good")
	must.Do(t, p.swap(from))
	if o := must.Get(deploy(programs["last"], StageOptions{}))(t); !o.OK {
		t.Errorf("%+v", o)
	}
	wantsThere("last")
}

// TestInPlace_AScriptStays: what the app is started from can be a script with its environment.
func TestInPlace_AScriptStays(t *testing.T) {
	a := newRealApp(t)
	dir := t.TempDir()
	path, script := filepath.Join(dir, "start"), "#!/bin/bash\nexec -a \"$0\" "+filepath.Join(dir, "shop")+" \"$@\"\n"
	must.Do(t, proctest.WriteProgram(filepath.Join(dir, "shop"), string(realShop(t, "good", 1))))
	must.Do(t, proctest.WriteProgram(path, script))
	a.start(path)
	defer func() { _ = a.client().Stop(t.Context()); a.program.AwaitEnd() }()
	from := filepath.Join(t.TempDir(), "new")
	must.Do(t, proctest.WriteProgram(from, string(realShop(t, "good", 2))))
	if st := must.Get(a.client().Status(t.Context()))(t); st.Program != path {
		t.Fatalf("the app says that it was started from %s", st.Program)
	}
	_, err := InPlace(t.Context(), a.client(), from, StageOptions{}, nil)
	wants(t, err, ErrNotAccepted, "is no Go program")
	if got := string(must.Get(os.ReadFile(path))(t)); got != script {
		t.Errorf("%s has %d bytes now", path, len(got))
	}
}

// TestInPlace_StopOnProbation: what a boot starts then has passed its probation.
func TestInPlace_StopOnProbation(t *testing.T) {
	a := newRealApp(t)
	path, from, program := filepath.Join(t.TempDir(), "shop"), filepath.Join(t.TempDir(), "new"), realShop(t, "good", 1)
	must.Do(t, proctest.WriteProgram(path, string(program)))
	must.Do(t, proctest.WriteProgram(from, string(realShop(t, "good", 2))))
	a.start(path, "-probation", "1m")
	_, err := InPlace(t.Context(), a.client(), from, StageOptions{}, func(e Event) {
		if e.Step != nil && e.Step.Step == control.StepProbation {
			must.Do(t, a.client().Stop(t.Context()))
		}
	})
	wants(t, err, ErrNotTried, "was asked to stop during the probation")
	a.program.AwaitEnd()
	if !bytes.Equal(must.Get(os.ReadFile(path))(t), program) {
		t.Error("the new program is what starts next")
	}
}

// TestInPlace_Lock: a lock that was opened before its holder has removed it is nobody's, and one is not made elsewhere.
func TestInPlace_Lock(t *testing.T) { //nolint:paralleltest // it sets step
	path := filepath.Join(t.TempDir(), "shop")
	lock, elsewhere := beside(path, lockSuffix), filepath.Join(t.TempDir(), "nologin")
	must.Do(t, os.Symlink(elsewhere, lock))
	_, err := lockFor(path)
	wants(t, err, ErrNotTried, lock)
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("it is made through a symlink")
	}
	must.Do(t, os.Remove(lock))
	defer func(was func(string)) { step = was }(step)
	step = func(string) { must.Do(t, os.Remove(lock)) }
	_, err = lockFor(path)
	wants(t, err, ErrBusy, "")
}

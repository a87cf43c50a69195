package spawn

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

func TestAsGoHasIt(t *testing.T) {
	t.Parallel()
	got := asGoHasIt([]string{"A=1", "", "B=", "A=2", "odd", "B=3", "odd"})
	if want := []string{"A=1", "B=", "odd", "odd"}; !slices.Equal(got, want) {
		t.Errorf("the environment is %q, want %q", got, want)
	}
}

// TestStartEnv_IsNotChangedByThisProcess has the kernel's copy.
func TestStartEnv_IsNotChangedByThisProcess(t *testing.T) {
	before, err := StartEnv()
	if err != nil {
		t.Skip(err)
	}
	t.Setenv("SPAWN_TEST_LATER", "1")
	t.Setenv(wire.EnvMode, "self")
	after, err := StartEnv()
	if err != nil || !slices.Equal(after, before) {
		t.Errorf("the environment is %q, %v; it was %q", after, err, before)
	}
	if name := "PATH"; os.Getenv(name) != "" {
		if less, _ := StartEnv(name); len(less) != len(after)-1 {
			t.Errorf("%d variables without %s, and %d with it", len(less), name, len(after))
		}
	}
}

// TestStartDir finds the directory of the start by a relative argv[0], wherever the process is by now.
func TestStartDir(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no upgrades")
	}
	self := must.Get(filepath.EvalSymlinks(must.Get(os.Executable())(t)))(t)
	bin, name := filepath.Split(self)
	bin = filepath.Clean(bin)
	dir := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	must.Do(t, os.Symlink(bin, filepath.Join(dir, "bin")))
	other := t.TempDir()
	must.Do(t, os.WriteFile(filepath.Join(other, name), nil, 0o755))
	relative := must.Get(filepath.Rel(must.Get(os.Getwd())(t), dir))(t) // leads there from where the test is
	for what, tt := range map[string]struct{ argv0, pwd, now, want string }{
		"still there":             {"./" + name, "/", bin, bin},
		"below":                   {filepath.Base(bin) + "/" + name, "", bin, filepath.Dir(bin)},
		"by $PWD":                 {"bin/" + name, dir, bin, dir},
		"elsewhere by now":        {"./" + name, "/", "/", bin},
		"above where it is now":   {"bin/" + name, relative, filepath.Join(dir, "bin"), dir},
		"not to be found":         {"bin/" + name, "/", "/", "/"},
		"an absolute path":        {self, dir, bin, bin},
		"a name that is in $PATH": {name, dir, "/", "/"},
		"both there and in $PWD":  {"./" + name, filepath.Join(dir, "bin"), bin, bin},
		"another program in $PWD": {"./" + name, other, "/", bin},
	} {
		l := Launch{Argv: []string{tt.argv0}, Env: []string{"PWD=" + tt.pwd}}
		if got := l.startDir(tt.now); got != tt.want {
			t.Errorf("%s: %q in %s, $PWD %q: %s, want %s", what, tt.argv0, tt.now, tt.pwd, got, tt.want)
		}
	}
}

package spawn

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

func TestLaunchPath(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Launch is only used for upgrades, which Windows has not; its paths look otherwise")
	}
	dir := t.TempDir()
	for _, p := range []string{"bin/app", "work/sub/x"} {
		must.Do(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755))
		must.Do(t, os.WriteFile(filepath.Join(dir, p), nil, 0o755))
	}
	self := must.Get(os.Executable())(t)
	work := filepath.Join(dir, "work")
	env := []string{"PATH=/none", "PATH=sub:" + filepath.Join(dir, "bin")}
	for argv0, want := range map[string]string{
		"./app":      work + "/app",
		"app":        dir + "/bin/app",
		"x":          work + "/sub/x",
		"link/../a":  work + "/link/../a", // not cleaned: link may lead elsewhere
		"/abs/app":   "/abs/app",
		"not-there":  self,
		"":           self,
		"../bin/app": work + "/../bin/app",
	} {
		l := Launch{Dir: work, Argv: []string{argv0, "-v"}, Env: env}
		if got, err := l.Path(); err != nil || got != want {
			t.Errorf("path of %q = %q, %v; want %q", argv0, got, err, want)
		}
		if got := l.Args(); !slices.Equal(got, []string{argv0, "-graceful", "-v"}) {
			t.Errorf("args = %q", got)
		}
	}
}

func TestLaunchEnviron(t *testing.T) {
	t.Parallel()
	l := Launch{Env: append(make([]string, 0, 8), "A=1")}
	one, two := l.Environ(wire.EnvHandover+"=1:3:1"), l.Environ(wire.EnvHandover+"=1:4:1")
	if !slices.Equal(one, []string{"A=1", wire.EnvHandover + "=1:3:1"}) || !slices.Equal(two, []string{"A=1", wire.EnvHandover + "=1:4:1"}) {
		t.Errorf("environments %q and %q", one, two)
	}
}

// FuzzArguments: the flag is put in front and taken from there, and whatever else a
// command line has stays as it is.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		"", "app", "\x00", "app\x00-graceful", "app\x00--graceful\x00-v", "app\x00--graceful\x00-graceful",
		"app\x00serve\x00-graceful", "app\x00-graceful=false",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args := strings.Split(s, "\x00")
		before, want := slices.Clone(args), args
		wanted := len(args) > 1 && (args[1] == "-graceful" || args[1] == "--graceful")
		if wanted {
			want = slices.Concat(args[:1], args[2:])
		}
		if cut, graceful := CutGraceful(args); graceful != wanted || !slices.Equal(cut, want) || !slices.Equal(args, before) {
			t.Fatalf("%q became %q, %v; the argument is %q", before, cut, graceful, args)
		}
		if back, graceful := CutGraceful(Launch{Argv: args}.Args()); !graceful || !slices.Equal(back, args) {
			t.Fatalf("%q came back as %q, %v", args, back, graceful)
		}
	})
}

package core

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestCutGraceful(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, want []string
		graceful   bool
	}{
		{[]string{"app"}, []string{"app"}, false},
		{[]string{"app", "-graceful"}, []string{"app"}, true},
		{[]string{"app", "--graceful", "-v"}, []string{"app", "-v"}, true},
		{[]string{"app", "serve", "-graceful"}, []string{"app", "serve", "-graceful"}, false},
		{[]string{"app", "-graceful", "-graceful"}, []string{"app", "-graceful"}, true},
		{[]string{"app", "-graceful=false"}, []string{"app", "-graceful=false"}, false},
		{nil, nil, false},
	} {
		before := slices.Clone(tt.args)
		got, graceful := cutGraceful(tt.args)
		if !slices.Equal(got, tt.want) || graceful != tt.graceful {
			t.Errorf("cutGraceful(%q) = %q, %v", tt.args, got, graceful)
		}
		if !slices.Equal(before, tt.args) {
			t.Errorf("cutGraceful changed its argument to %q", tt.args)
		}
	}
}

func TestParseControl(t *testing.T) {
	t.Parallel()
	if c, err := parseControl("1:5:4711"); err != nil || c != (controlInfo{1, 5, 4711}) || c.String() != "1:5:4711" {
		t.Errorf("parseControl = %v, %v", c, err)
	}
	for _, v := range []string{
		"", ":", "::", "1:5", "1:5:", "1:2:3", "1:-5:3", "0:5:3", "1:5:0", "1:5:-3", "x:5:3", "1:5:3:4",
		"1:99999:3", "1:99999999999999999999:3", " 1:5:3",
	} {
		if c, err := parseControl(v); err == nil || !strings.Contains(err.Error(), EnvControl) {
			t.Errorf("parseControl(%q) = %v, %v; want an error that names %s", v, c, err, EnvControl)
		}
	}
}

// FuzzParseControl: what is accepted is in bounds and reads back the same.
func FuzzParseControl(f *testing.F) {
	for _, s := range []string{"1:5:4711", "2:3:1", "", "1:5", "::", "1:-1:1", "1:65537:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		c, err := parseControl(v)
		if err != nil {
			return
		}
		if c.version < 1 || c.s < 3 || c.s > maxControl || c.pid < 1 {
			t.Fatalf("%q gave %+v", v, c)
		}
		if again, err := parseControl(c.String()); err != nil || again != c {
			t.Fatalf("%q gave %v, which gives %v, %v", v, c, again, err)
		}
	})
}

func TestLaunchPath(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("launch is only used for upgrades, which Windows has not; its paths look otherwise")
	}
	dir := t.TempDir()
	for _, p := range []string{"bin/app", "work/sub/x"} {
		must(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, p), nil, 0o755))
	}
	self, err := os.Executable()
	must(t, err)
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
		l := launch{dir: work, argv: []string{argv0, "-v"}, env: env}
		if got, err := l.path(); err != nil || got != want {
			t.Errorf("path of %q = %q, %v; want %q", argv0, got, err, want)
		}
		if got := l.args(); !slices.Equal(got, []string{argv0, "-graceful", "-v"}) {
			t.Errorf("args = %q", got)
		}
	}
}

func TestLaunchEnviron(t *testing.T) {
	t.Parallel()
	l := launch{env: append(make([]string, 0, 8), "A=1")}
	one, two := l.environ("1:3:1"), l.environ("1:4:1")
	if !slices.Equal(one, []string{"A=1", EnvControl + "=1:3:1"}) || !slices.Equal(two, []string{"A=1", EnvControl + "=1:4:1"}) {
		t.Errorf("environments %q and %q", one, two)
	}
}

func TestStateNames(t *testing.T) {
	t.Parallel()
	for s := StateNone; s <= StateStopped; s++ {
		if s.String() == "unknown" {
			t.Errorf("state %d has no name", s)
		}
		if want := s == StateCurrent || s == StateUpgrading || s == StateProbation; s.Serving() != want {
			t.Errorf("%v.Serving() = %v", s, !want)
		}
	}
	if State(99).String() != "unknown" {
		t.Error("state 99 has a name")
	}
}

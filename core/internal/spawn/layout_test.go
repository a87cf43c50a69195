//go:build unix

package spawn

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

func TestLayoutOf(t *testing.T) {
	t.Parallel()
	root := must.Get(filepath.EvalSymlinks(t.TempDir()))(t)
	for _, dir := range []string{"shop/releases/1/bin", "shop/old/1", "two/releases/1", "two/releases/2", "three/releases/1"} {
		must.Do(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for name, target := range map[string]string{
		"shop/current": "releases/1", "two/current": root + "/two/releases/2/", "link": "shop", "file": "link/current/bin/app",
		"loop": "loop", "shop/old/current": "../releases/1", "shop/releases/current": "../releases/1", "two/releases/current": "releases",
		"three/current": "../shop/releases/1",
	} {
		must.Do(t, os.Symlink(target, filepath.Join(root, name)))
	}
	for path, want := range map[string]Layout{
		"shop/current/bin/app":      {root + "/shop", "1", "bin/app"},
		"link/current/app":          {root + "/shop", "1", "app"},
		"link//./current/x/../app":  {root + "/shop", "1", "x/../app"},
		"file":                      {root + "/shop", "1", "bin/app"},
		"two/current/gone/app":      {root + "/two", "2", "gone/app"},
		"shop/current":              {root + "/shop", "1", ""},
		"shop/old/../current/app":   {root + "/shop", "1", "app"},
		"shop/old/current/app":      {}, // not beside its releases
		"shop/releases/current/app": {},
		"three/current/app":         {}, // not its own
		"two/releases/current/app":  {},
		"shop/releases/1/app":       {},
		"loop/current/app":          {},
		"gone/current/app":          {},
	} {
		got, ok := layoutOf(root + "/" + path)
		if ok != (want != Layout{}) || ok && got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, ok, want)
		}
	}
	for file, want := range map[string]string{
		"shop/releases/1/bin/app": "1", "shop/releases/7/app (deleted)": "7", "shop/releases/1": "", "shop/old/1/app": "",
		"two/releases/1/releases/3/app": "1",
	} {
		if got := ReleaseOf(root + "/" + file); got != want {
			t.Errorf("%s is of release %q, want %q", file, got, want)
		}
	}
}

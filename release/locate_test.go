package release

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, d := range []string{"releases/1-00000000", "current2"} {
		if err := os.MkdirAll(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"current": "releases/1-00000000", "shop": "current/shop", "far": at("shop"), "round": "round", "other": "releases/1-00000000/shop",
	} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, found := range map[string]bool{
		"current/shop": true, "shop": true, "far": true,
		"round": false, "other": false, "current2/shop": false, "releases/1-00000000/shop": false, "gone": false,
	} {
		got, program, err := Locate(at(path))
		if found && (err != nil || got != dir || program != "shop") || !found && err == nil {
			t.Errorf("Locate(%s) = %s, %s, %v", path, got, program, err)
		}
	}
}

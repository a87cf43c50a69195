package release_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/release"
	"github.com/gracex-go/gracex/release/internal/sourcetest"
)

// folder is an origin that is one.
type folder string

func (f folder) Publish(t *testing.T, files map[string][]byte) {
	t.Helper()
	old, err := os.ReadDir(string(f))
	must.Do(t, err)
	for _, e := range old {
		must.Do(t, os.RemoveAll(filepath.Join(string(f), e.Name())))
	}
	for name, b := range files {
		must.Do(t, os.WriteFile(filepath.Join(string(f), name), b, 0o644))
	}
}

func (f folder) Source() release.Source { return release.Dir(string(f)) }

func TestDir(t *testing.T) {
	t.Parallel()
	dir := folder(t.TempDir())
	sourcetest.Check(t, dir)
	// A signature by another key is another offer.
	var tags []string
	for _, sig := range []string{"a", "b"} {
		dir.Publish(t, map[string][]byte{"release.json": []byte("{}"), "release.json.minisig": []byte(sig)})
		tags = append(tags, must.Get(dir.Source().Head(t.Context(), ""))(t).Tag)
	}
	if tags[0] == tags[1] {
		t.Error("the tag does not depend on the signature")
	}
}

func TestDir_Errors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must.Do(t, os.Mkdir(filepath.Join(dir, "release.json"), 0o755))
	for path, want := range map[string]string{
		dir:                        "release.json is not a regular file: drwxr-xr-x",
		filepath.Join(dir, "no"):   "no such file or directory",
		filepath.Join(dir, "\x1b"): `\x1b: `,
	} {
		_, err := release.Dir(path).Head(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, _, err := release.Dir(dir).Open(t.Context(), "release.json", 0); err == nil {
		t.Error("a directory is opened")
	}
}

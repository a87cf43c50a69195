package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/internal/tools/workspace"
)

func TestPack(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{
		"LICENSE", "go.mod", "a.go", "core/b.go", "core/testdata/c.txt",
		".git/config", "core/vendor/x/x.go",
		"ginx/go.mod", "ginx/ginx.go", "ginx/v2/go.mod", "ginx/v2/ginx.go",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		dir  string
		want []string
	}{
		{".", []string{"m@v1/LICENSE", "m@v1/a.go", "m@v1/core/b.go", "m@v1/core/testdata/c.txt", "m@v1/go.mod"}},
		{"ginx", []string{"m@v1/LICENSE", "m@v1/ginx.go", "m@v1/go.mod"}},
		{"ginx/v2", []string{"m@v1/LICENSE", "m@v1/ginx.go", "m@v1/go.mod"}},
	} {
		var buf bytes.Buffer
		if err := pack(&buf, filepath.Join(root, filepath.FromSlash(test.dir)), root, "m@v1/"); err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range z.File {
			got = append(got, f.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: packed %q, want %q", test.dir, got, test.want)
		}
	}
}

func TestChooseVersions(t *testing.T) {
	t.Parallel()
	requires := func(path, version string) []workspace.Requirement {
		return []workspace.Requirement{{Path: path, Version: version}}
	}
	for _, test := range []struct {
		name string
		a, b []workspace.Requirement // of m/a and m/b/v5
		want map[string]string       // nil if it must fail
	}{
		{"nobody requires anything", nil, nil, map[string]string{"m": "v0.1.0", "m/a": "v0.1.0", "m/b/v5": "v5.0.0"}},
		{"as required", requires("m", "v1.2.3"), requires("m", "v1.2.3"), map[string]string{"m": "v1.2.3", "m/a": "v0.1.0", "m/b/v5": "v5.0.0"}},
		{"foreign requirements do not count", requires("x", "v9.0.0"), nil, map[string]string{"m": "v0.1.0", "m/a": "v0.1.0", "m/b/v5": "v5.0.0"}},
		{"release candidate", requires("m", "v1.2.3-rc.1"), nil, map[string]string{"m": "v1.2.3-rc.1", "m/a": "v0.1.0", "m/b/v5": "v5.0.0"}},
		{"disagreement", requires("m", "v1.2.3"), requires("m", "v1.2.4"), nil},
		{"placeholder", requires("m", "v0.0.0"), nil, nil},
		{"pseudo-version", requires("m", "v0.0.0-20260101000000-0123456789ab"), nil, nil},
	} {
		ws := &workspace.Workspace{Modules: []workspace.Module{
			{Path: "m", Rel: "."},
			{Path: "m/a", Rel: "a", Require: test.a},
			{Path: "m/b/v5", Rel: "b/v5", Require: test.b},
		}}
		got, err := chooseVersions(ws)
		if (err != nil) != (test.want == nil) {
			t.Errorf("%s: error %v", test.name, err)
		}
		for path, want := range test.want {
			if got[path] != want {
				t.Errorf("%s: %s gets %q, want %q", test.name, path, got[path], want)
			}
		}
	}
}

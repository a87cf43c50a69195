package workspace

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLoad(t *testing.T) {
	// go.work is looked for from the directory upwards, unless this names one.
	t.Setenv("GOWORK", "")
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.work":                 "go 1.25.0\n\nuse (\n\t./b/v5\n\t.\n)\n",
		"go.mod":                  "module m\n\ngo 1.25.0\n",
		"b/v5/go.mod":             "module m/b/v5\n\ngo 1.25.0\n\nrequire m v0.1.0\n\nreplace m => ../..\n",
		"forgotten/go.mod":        "module m/forgotten\n",
		"b/v5/testdata/in/go.mod": "module input\n",
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}

	ws, err := Load(t.Context(), filepath.Join(root, "b"))
	if err != nil {
		t.Fatal(err)
	}
	if len(ws.Modules) != 2 || ws.Modules[0].Path != "m" || ws.Modules[0].Rel != "." {
		t.Fatalf("got %+v, want the root module first of two", ws.Modules)
	}
	b := ws.Modules[1]
	if b.Path != "m/b/v5" || b.Rel != "b/v5" || b.Go != "1.25.0" ||
		!slices.Equal(b.Require, []Requirement{{Path: "m", Version: "v0.1.0"}}) ||
		!slices.Equal(b.Replace, []string{"m"}) {
		t.Errorf("got %+v", b)
	}
	if !ws.Own("m/b/v5") || ws.Own("m/b") {
		t.Error("Own does not tell the workspace's modules from others")
	}
	forgotten, err := ws.Forgotten()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"forgotten"}; !slices.Equal(forgotten, want) {
		t.Errorf("forgotten: got %q, want %q", forgotten, want)
	}
}

func TestLoadWithoutWorkspace(t *testing.T) {
	t.Setenv("GOWORK", "off")
	if ws, err := Load(t.Context(), "."); err == nil {
		t.Errorf("got %+v, want an error", ws)
	}
}

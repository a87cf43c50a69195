//go:build unix

package examples_test

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, nil) } // it plays no example

// TestContract: each of these programs does what package exampletest says.
func TestContract(t *testing.T) {
	t.Parallel()
	names := []string{"chi", "echo", "echo5", "gin", "macaron", "nethttp"}
	dir := t.TempDir()
	args := []string{"build", "-o", dir}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	for _, name := range names {
		args = append(args, "./"+name)
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %q: %v\n%s", args, err, out)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exampletest.Contract(t, filepath.Join(dir, name))
		})
	}
}

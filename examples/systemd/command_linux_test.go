package systemd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/core/control"
)

// TestMain has the test binary be the units' gracex command when it is started by that
// name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "gracex" {
		os.Exit(m.Run())
	}
	o, err := control.Dial(os.Args[len(os.Args)-1]).Upgrade(context.Background(), nil)
	if err != nil || !o.OK {
		fmt.Fprintln(os.Stderr, "gracex:", o.Kind, o.Reason, err)
		os.Exit(1)
	}
}

func copyCommand(t *testing.T, path string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// TestMain: this binary is the shim of the trials, too, and the launcher.
func TestMain(m *testing.M) {
	playRole()
	if err := procgroup.AdoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(testDir)
	os.Exit(code)
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// TestMain: this binary is the shim of the trials, too, and the launcher.
func TestMain(m *testing.M) {
	playRole()
	if err := procgroup.AdoptOrphans(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(proctest.Main(m))
}

// raceFlag is "-race" if these tests were built with the race detector.
func raceFlag() (flags []string) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		flags = append(flags, "-race")
	}
	return flags
}

// build puts a program of the package at a path of its own.
func build(t *testing.T, pkg string, flags ...string) string {
	path := filepath.Join(t.TempDir(), "program")
	proctest.Build(t, path, pkg, flags...)
	return path
}

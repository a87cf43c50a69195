package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"", ""},
		{"-url http://:{port}/", "name the program behind the flags"},
		{"./no-such-program", "build it first"},
		{"sh", "no -url: where does the program answer?"},
		{"-url ftp://host/ sh", "has to begin with http:// or https://"},
		{"-url http:///path sh", "no host"},
		{"-bound 0s", "more than nothing"},
		{"-run [", "missing closing ]"},
		{"-soak 1m -break memory,log -seed 1", ""},
		{"-soak 1m -break nonsense", "no break is called"},
		{"-soak -1s", "for some time"},
		{"-soak 1m -url http://127.0.0.1:{port}/ sh", "without a program"},
		{"-signal KILL", "not one of HUP, USR1, USR2"},
		{"-url http://127.0.0.1:{port}/ sh -c true", ""},
		{"-h", portWord},
	} {
		var out bytes.Buffer
		_, err := parse(strings.Fields(tt.line), &out)
		failed, help := tt.want != "", tt.line == "-h"
		if (err != nil) != failed || errors.Is(err, flag.ErrHelp) != help || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%q: %v, %s", tt.line, err, &out)
		}
	}
	o, err := parse(strings.Fields("-signal SIGHUP -url http://localhost:8080/ -parallel 4 sh -addr :8080"), t.Output())
	switch {
	case err != nil:
		t.Error(err)
	case o.parallel != 1:
		t.Errorf("%d cells at a time would share a port", o.parallel)
	case o.signal != syscall.SIGHUP || o.program[0] == "sh" || o.program[1] != "-addr":
		t.Errorf("%+v", o)
	}
}

// TestMain: this binary is the shim of the experiments, too, and the launcher.
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
	race := debug.BuildSetting{Key: "-race", Value: "true"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, race) {
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

// TestShort is the short form, on the kit's own server: built with the race detector if
// this test is. Every fault at every step is "make faults".
func TestShort(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short leaves out what starts services for many seconds")
	}
	args := append(raceFlag(), "-short", "-parallel", "5")
	var out, progress bytes.Buffer
	if err := run(t.Context(), args, &out, &progress); err != nil {
		t.Errorf("%v\n%s", err, &progress)
	}
	for _, want := range append([]string{"begin/none", "0 lost, "}, shortForm...) {
		if !strings.Contains(progress.String(), want) {
			t.Errorf("no %q in\n%s", want, &progress)
		}
	}
	t.Logf("\n%s", &out)
}

// TestBadPrograms: what is wrong is said, with what to do about it.
func TestBadPrograms(t *testing.T) {
	t.Parallel()
	plain := build(t, "../testdata/plain")
	const at = "http://127.0.0.1:" + portWord + "/"
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"exits":    {[]string{"-url", at, "sh", "-c", "echo no database >&2; exit 7"}, ": exit status 7); its last words: no database"},
		"is deaf":  {[]string{"-bound", "1s", "-url", at, "sleep", "60"}, "does the program listen there?"},
		"is plain": {[]string{"-url", at, plain, "-addr", "127.0.0.1:" + portWord}, "it does not speak the protocol: no hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := run(t.Context(), tt.args, &out, &out); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\n%s", err, &out)
			}
		})
	}
}

// TestInterrupted: a kit that is interrupted says so, and no cell is left.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for _, err := os.Stat(started); err != nil && t.Context().Err() == nil; _, err = os.Stat(started) {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	var out bytes.Buffer
	args := []string{"-url", "http://127.0.0.1:" + portWord + "/", "sh", "-c", "touch " + started + "; exec sleep 60"}
	if err := run(ctx, args, &out, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("%v\n%s", err, &out)
	}
}
